// Package goserve drives a peer: one line of JSON in, one line of JSON out, as serve.py says.
package goserve

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	// What a burst hands over at a time: whole lines.
	chunkBytes = 64 * 1024
	// Between two lone events, so that each is alone.
	pause = 20 * time.Millisecond
)

// Cannot is why a peer has no way to do something.
type Cannot string

func (c Cannot) Error() string { return string(c) }

// Event is one line of a watch.
type Event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

// Peer is one way to keep pods and to answer from them.
type Peer interface {
	// Load takes a whole list, page by page.
	Load(pages func(yield func([]byte) bool)) error
	// Apply takes watch events; returns when they are kept.
	Apply(events []Event) error
	// Ask answers once.
	Ask(question *Question) (Answer, error)
	// Files are what it keeps on disk.
	Files() []string
}

type command struct {
	Do       string  `json:"do"`
	Question int     `json:"question"`
	Calls    int     `json:"calls"`
	BudgetS  float64 `json:"budget_s"`
}

// Main serves a peer until stdin ends.
func Main(make func(work string) (Peer, error)) {
	if err := serve(make); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(make func(work string) (Peer, error)) error {
	if len(os.Args) != 3 {
		return errors.New("usage: PEER DATA_FOLDER WORK_FOLDER")
	}
	data, work := os.Args[1], os.Args[2]
	questions, err := readQuestions(filepath.Join(data, "questions.json"))
	if err != nil {
		return err
	}
	peer, err := make(work)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var do command
		if err := json.Unmarshal(in.Bytes(), &do); err != nil {
			return err
		}
		answer, err := done(peer, do, questions, data, work)
		var cannot Cannot
		if errors.As(err, &cannot) {
			answer = map[string]any{"cannot": string(cannot)}
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			answer = map[string]any{"cannot": fmt.Sprintf("failed: %.80s", err.Error())}
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return in.Err()
}

func readQuestions(path string) ([]Question, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, err
	}
	questions := make([]Question, len(parts))
	for at, part := range parts {
		questions[at] = newQuestion()
		if err := json.Unmarshal(part, &questions[at]); err != nil {
			return nil, err
		}
	}
	return questions, nil
}

func done(peer Peer, do command, questions []Question, data, work string) (map[string]any, error) {
	switch do.Do {
	case "load":
		var failed error
		started := time.Now()
		err := peer.Load(func(yield func([]byte) bool) { failed = pages(data, yield) })
		seconds := time.Since(started).Seconds()
		// What loading left over is not what the peer holds.
		runtime.GC()
		debug.FreeOSMemory()
		return map[string]any{"seconds": seconds}, errors.Join(err, failed)
	case "open":
		return nil, Cannot("lists again: keeps nothing over a restart")
	case "burst":
		return burst(peer, filepath.Join(data, "burst.jsonl"))
	case "lone":
		return lone(peer, filepath.Join(data, "lone.jsonl"))
	case "ask":
		return ask(peer, &questions[do.Question], do, work)
	case "sizes":
		return sizes(peer.Files())
	}
	return nil, fmt.Errorf("nobody can %s", do.Do)
}

func pages(data string, yield func([]byte) bool) error {
	names, err := filepath.Glob(filepath.Join(data, "page-*.json"))
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		page, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !yield(page) {
			return nil
		}
	}
	return nil
}

func burst(peer Peer, path string) (map[string]any, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	started := time.Now()
	var some []Event
	size := 0
	for at, line := range lines {
		if len(line) > 0 {
			var event Event
			if err := json.Unmarshal(line, &event); err != nil {
				return nil, err
			}
			some = append(some, event)
			size += len(line)
		}
		if size >= chunkBytes || at == len(lines)-1 {
			if err := peer.Apply(some); err != nil {
				return nil, err
			}
			some, size = nil, 0
		}
	}
	return map[string]any{"seconds": time.Since(started).Seconds()}, nil
}

func lone(peer Peer, path string) (map[string]any, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var seconds []float64
	for line := range bytes.Lines(raw) {
		time.Sleep(pause)
		started := time.Now()
		var event Event
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, err
		}
		if err := peer.Apply([]Event{event}); err != nil {
			return nil, err
		}
		seconds = append(seconds, time.Since(started).Seconds())
	}
	return map[string]any{"seconds": seconds}, nil
}

func ask(peer Peer, question *Question, do command, work string) (map[string]any, error) {
	var seconds []float64
	var first []Answer
	began := time.Now()
	for first == nil || (len(seconds) < do.Calls && time.Since(began).Seconds() < do.BudgetS) {
		var got []Answer
		one := question.variant(len(seconds))
		start := one.Offset
		for number := range max(1, question.Walk) {
			// A walk goes by offset: no peer here has a cursor.
			one.Offset = start + number*question.Limit
			started := time.Now()
			answer, err := peer.Ask(&one)
			if err != nil {
				return nil, err
			}
			seconds = append(seconds, time.Since(started).Seconds())
			got = append(got, answer)
		}
		if first == nil {
			first = got
		}
	}
	if question.Limit > 0 {
		if err := leave(first, work); err != nil {
			return nil, err
		}
	}
	return map[string]any{
		"seconds": seconds, "total": first[0].Total, "bytes": len(first[0].Body),
	}, nil
}

// leave writes the answer down for the driver to check.
func leave(answers []Answer, work string) error {
	bodies := make([][]byte, len(answers))
	for at, answer := range answers {
		bodies[at] = answer.Body
	}
	whole := append(append([]byte("["), bytes.Join(bodies, []byte(","))...), ']')
	if err := os.WriteFile(filepath.Join(work, "answer.json"), whole, 0o600); err != nil {
		return err
	}
	facets := answers[0].Facets
	if facets == nil {
		facets = Facets{}
	}
	raw, err := json.Marshal(facets)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, "facets.json"), raw, 0o600)
}

func sizes(files []string) (map[string]any, error) {
	disk := int64(0)
	for _, name := range files {
		about, err := os.Stat(name)
		if err != nil {
			continue
		}
		disk += about.Size()
	}
	return map[string]any{"rss": memory("VmRSS:"), "peak": memory("VmHWM:"), "disk": disk}, nil
}

// memory is a figure of this process, on Linux; 0 elsewhere.
func memory(name string) int64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(line, name); found {
			kilobytes, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kilobytes * 1024
		}
	}
	return 0
}
