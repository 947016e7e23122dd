// client-go's Indexer with typed pods: what an informer of a Go controller keeps. It has indexes by
// exact value; what they don't answer (other selectors, order, pages, counts) is the loop that its
// users write.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/tools/cache"

	"vai/bench/peers/goserve"
)

const byNode = "node"

type peer struct {
	indexer cache.Indexer
}

func newPeer(string) (goserve.Peer, error) {
	indexers := cache.Indexers{
		cache.NamespaceIndex: cache.MetaNamespaceIndexFunc,
		byNode: func(object any) ([]string, error) {
			return []string{object.(*corev1.Pod).Spec.NodeName}, nil
		},
	}
	return &peer{cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers)}, nil
}

func (p *peer) Load(pages func(yield func([]byte) bool)) error {
	var all []any
	var failed error
	for page := range pages {
		var list corev1.PodList
		if failed = json.Unmarshal(page, &list); failed != nil {
			break
		}
		for at := range list.Items {
			// A copy, so that one pod does not keep its whole page in memory.
			pod := list.Items[at]
			all = append(all, &pod)
		}
	}
	if failed != nil {
		return failed
	}
	return p.indexer.Replace(all, "1")
}

func (p *peer) Apply(events []goserve.Event) error {
	for _, event := range events {
		var pod corev1.Pod
		if err := json.Unmarshal(event.Object, &pod); err != nil {
			return err
		}
		work := p.indexer.Update
		if event.Type == "DELETED" {
			work = p.indexer.Delete
		}
		if err := work(&pod); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) Files() []string { return nil }

func (p *peer) Ask(question *goserve.Question) (goserve.Answer, error) {
	matches, err := p.matches(question)
	if err != nil {
		return goserve.Answer{}, err
	}
	slices.SortFunc(matches, order(question.Sort))
	facets := goserve.Facets{}
	for _, path := range question.Facets {
		counts := map[string]int{}
		for _, pod := range matches {
			if value := field(pod, path); value != "" {
				counts[value]++
			}
		}
		facets[path] = counts
	}
	chosen := matches[min(question.Offset, len(matches)):]
	if question.Limit > 0 {
		chosen = chosen[:min(question.Limit, len(chosen))]
	}
	body, err := list(chosen)
	return goserve.Answer{Total: len(matches), Body: body, Facets: facets}, err
}

// matches takes the pods from the index that narrows most, and tests each.
func (p *peer) matches(question *goserve.Question) ([]*corev1.Pod, error) {
	if question.Get != "" {
		found, exists, err := p.indexer.GetByKey(question.Get)
		if err != nil || !exists {
			return nil, err
		}
		return []*corev1.Pod{found.(*corev1.Pod)}, nil
	}
	selector, err := selector(question.Labels)
	if err != nil {
		return nil, err
	}
	var matches []*corev1.Pod
	add := func(object any) {
		pod := object.(*corev1.Pod)
		for _, test := range question.Fields {
			if field(pod, test.Path) != test.Value {
				return
			}
		}
		if test := question.Unindexed; test != nil && field(pod, test.Path) != test.Value {
			return
		}
		if strings.Contains(pod.Name, question.NameContains) {
			matches = append(matches, pod)
		}
	}
	if question.Namespaces != nil {
		for _, namespace := range question.Namespaces {
			if err := cache.ListAllByNamespace(p.indexer, namespace, selector, add); err != nil {
				return nil, err
			}
		}
		return matches, nil
	}
	for _, test := range question.Fields {
		if test.Path == "spec.nodeName" && selector.Empty() {
			found, err := p.indexer.ByIndex(byNode, test.Value)
			for _, object := range found {
				add(object)
			}
			return matches, err
		}
	}
	return matches, cache.ListAll(p.indexer, selector, add)
}

func selector(tests []goserve.LabelTest) (labels.Selector, error) {
	all := labels.NewSelector()
	for _, test := range tests {
		requirement, err := labels.NewRequirement(test.Key, selection.Operator(test.Op), test.Values)
		if err != nil {
			return nil, err
		}
		all = all.Add(*requirement)
	}
	return all, nil
}

// field is the value at one of the paths that the questions have; empty where there is none.
func field(pod *corev1.Pod, path string) string {
	switch path {
	case "metadata.creationTimestamp":
		return pod.CreationTimestamp.UTC().Format("2006-01-02T15:04:05Z")
	case "spec.nodeName":
		return pod.Spec.NodeName
	case "status.phase":
		return string(pod.Status.Phase)
	case "status.containerStatuses[0].lastState.terminated.reason":
		if statuses := pod.Status.ContainerStatuses; len(statuses) > 0 {
			if ended := statuses[0].LastTerminationState.Terminated; ended != nil {
				return ended.Reason
			}
		}
		return ""
	}
	panic(fmt.Sprintf("no question has %s", path))
}

func order(by *goserve.SortKey) func(a, b *corev1.Pod) int {
	if by == nil {
		return byKey
	}
	compare := func(a, b *corev1.Pod) int {
		if by.Path == "metadata.creationTimestamp" {
			return a.CreationTimestamp.Time.Compare(b.CreationTimestamp.Time)
		}
		return strings.Compare(field(a, by.Path), field(b, by.Path))
	}
	if by.Label != "" {
		compare = func(a, b *corev1.Pod) int {
			return strings.Compare(a.Labels[by.Label], b.Labels[by.Label])
		}
	}
	return func(a, b *corev1.Pod) int {
		found := compare(a, b)
		if by.Descending {
			found = -found
		}
		if found != 0 {
			return found
		}
		return byKey(a, b)
	}
}

// byKey is etcd's order: namespace/name, where `/` is a byte like others.
func byKey(a, b *corev1.Pod) int {
	if a.Namespace == b.Namespace {
		return strings.Compare(a.Name, b.Name)
	}
	return strings.Compare(a.Namespace+"/", b.Namespace+"/")
}

func list(pods []*corev1.Pod) ([]byte, error) {
	var body bytes.Buffer
	body.WriteString(`{"kind":"PodList","apiVersion":"v1","items":[`)
	encoder := json.NewEncoder(&body)
	for at, pod := range pods {
		if at > 0 {
			body.WriteByte(',')
		}
		if err := encoder.Encode(pod); err != nil {
			return nil, err
		}
	}
	body.WriteString(`]}`)
	return body.Bytes(), nil
}

func main() { goserve.Main(newPeer) }
