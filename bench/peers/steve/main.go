// Rancher Steve's pkg/sqlcache, used as Steve itself does: a ListOptionIndexer under client-go's
// informer, with the fields that Steve indexes for pods. The informer's machinery is left out: its
// calls to the indexer are made here, one for each object, as client-go makes them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rancher/steve/pkg/sqlcache/db"
	"github.com/rancher/steve/pkg/sqlcache/encryption"
	"github.com/rancher/steve/pkg/sqlcache/informer"
	"github.com/rancher/steve/pkg/sqlcache/partition"
	"github.com/rancher/steve/pkg/sqlcache/sqltypes"
	"github.com/rancher/steve/pkg/sqlcache/store"
	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"vai/bench/peers/goserve"
)

var podKind = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}

// tooLong is more than anybody waits for a page. Its sort by a label takes 33 s over 10,000 pods, and
// grows with the square of them.
const tooLong = time.Minute

type peer struct {
	ctx     context.Context
	indexer *informer.ListOptionIndexer
}

func newPeer(work string) (goserve.Peer, error) {
	logrus.SetOutput(io.Discard)
	// The file's name is a constant of the package, below the working directory.
	if err := os.Chdir(work); err != nil {
		return nil, err
	}
	ctx := context.Background()
	manager, err := encryption.NewManager()
	if err != nil {
		return nil, err
	}
	client, _, err := db.NewClient(ctx, nil, manager, manager, false)
	if err != nil {
		return nil, err
	}
	example := &unstructured.Unstructured{}
	example.SetGroupVersionKind(podKind)
	// As informer.NewInformer does it; pods depend on no other kind's rows.
	kept, err := store.NewStore(
		ctx, example, cache.DeletionHandlingMetaNamespaceKeyFunc, client, false, podKind, "_v1_Pod", nil, nil,
	)
	if err != nil {
		return nil, err
	}
	options := informer.ListOptionIndexerOptions{Fields: fields(), IsNamespaced: true, GCKeepCount: 1000}
	indexer, err := informer.NewListOptionIndexer(ctx, kept, options)
	return &peer{ctx, indexer}, err
}

// fields are those of pkg/stores/sqlproxy/proxy_store.go for pods, and the phase, which Steve asks
// for under another name that a transformation computes.
func fields() map[string]informer.IndexedField {
	found := map[string]informer.IndexedField{
		"metadata.restarts": &informer.ComputedField{Name: "metadata.restarts", Type: "INTEGER", GetValueFunc: restarts},
	}
	for _, path := range []string{
		"id", "metadata.state.name", "metadata.state.error", "metadata.state.message",
		"metadata.state.transitioning", "spec.containers.image", "spec.nodeName", "status.podIP",
		"status.phase",
	} {
		found[path] = &informer.JSONPathField{Path: strings.Split(path, ".")}
	}
	return found
}

func restarts(pod *unstructured.Unstructured) (any, error) {
	statuses, _, err := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
	total := int64(0)
	for _, status := range statuses {
		if one, ok := status.(map[string]any); ok {
			count, _, _ := unstructured.NestedInt64(one, "restartCount")
			total += count
		}
	}
	return total, err
}

// transform adds what pkg/resources/virtual adds and the fields above need.
func transform(pod *unstructured.Unstructured) *unstructured.Unstructured {
	pod.SetGroupVersionKind(podKind)
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	pod.Object["id"] = pod.GetNamespace() + "/" + pod.GetName()
	state := map[string]any{
		"name": strings.ToLower(phase), "error": false, "message": "", "transitioning": false,
	}
	pod.Object["metadata"].(map[string]any)["state"] = state
	return pod
}

// Load hands over all at once: with its feature AtomicFIFO, on by default, client-go v0.36 calls
// Replace for a list (tools/cache/controller.go, processReplacedAllInfo), one transaction.
func (p *peer) Load(pages func(yield func([]byte) bool)) error {
	var all []any
	for page := range pages {
		var list struct{ Items []json.RawMessage }
		if err := json.Unmarshal(page, &list); err != nil {
			return err
		}
		for _, item := range list.Items {
			pod, err := decode(item)
			if err != nil {
				return err
			}
			all = append(all, pod)
		}
	}
	return p.indexer.Replace(all, "1")
}

func decode(raw []byte) (*unstructured.Unstructured, error) {
	pod := &unstructured.Unstructured{}
	// unstructured.UnmarshalJSON wants the kind, which a list's items don't say.
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&pod.Object); err != nil {
		return nil, err
	}
	numbers(pod.Object)
	return transform(pod), nil
}

// numbers makes int64 of integers, as apimachinery's decoder does.
func numbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, one := range value {
			value[key] = numbers(one)
		}
	case []any:
		for at, one := range value {
			value[at] = numbers(one)
		}
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return whole
		}
		real, _ := value.Float64()
		return real
	}
	return value
}

// Apply does for each event what tools/cache/controller.go, processDeltas, does: the package has no
// transaction over several.
func (p *peer) Apply(events []goserve.Event) error {
	for _, event := range events {
		pod, err := decode(event.Object)
		if err != nil {
			return err
		}
		if err := p.applyOne(event.Type, pod); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) applyOne(kind string, pod *unstructured.Unstructured) error {
	if kind == "DELETED" {
		return p.indexer.Delete(pod)
	}
	if _, exists, err := p.indexer.Get(pod); err == nil && exists {
		return p.indexer.Update(pod)
	}
	return p.indexer.Add(pod)
}

func (p *peer) Files() []string {
	return []string{db.InformerObjectCacheDBPath, db.InformerObjectCacheDBPath + "-wal"}
}

func (p *peer) Ask(question *goserve.Question) (goserve.Answer, error) {
	if question.Get != "" {
		return p.get(question.Get)
	}
	if question.Unindexed != nil {
		return goserve.Answer{}, goserve.Cannot("only indexed fields can be asked for")
	}
	partitions := []partition.Partition{{All: true}}
	if question.Namespaces != nil {
		partitions = make([]partition.Partition, len(question.Namespaces))
		for at, namespace := range question.Namespaces {
			partitions[at] = partition.Partition{Namespace: namespace, All: true}
		}
	}
	facets, err := p.facets(question, partitions)
	if err != nil {
		return goserve.Answer{}, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, tooLong)
	defer cancel()
	list, total, _, _, err := p.indexer.ListByOptions(ctx, options(question), partitions, "")
	if ctx.Err() != nil {
		return goserve.Answer{}, goserve.Cannot(fmt.Sprintf("no answer within %s", tooLong))
	}
	if err != nil {
		return goserve.Answer{}, err
	}
	body, err := list.MarshalJSON()
	return goserve.Answer{Total: total, Body: body, Facets: facets}, err
}

// facets asks for them alone: together with a page they would count that page only.
func (p *peer) facets(question *goserve.Question, partitions []partition.Partition) (goserve.Facets, error) {
	facets := goserve.Facets{}
	if len(question.Facets) == 0 {
		return facets, nil
	}
	options := options(question)
	options.Pagination = sqltypes.Pagination{}
	options.SummaryOnly = true
	for _, facet := range question.Facets {
		options.SummaryFieldList = append(options.SummaryFieldList, path(facet))
	}
	_, _, summary, _, err := p.indexer.ListByOptions(p.ctx, options, partitions, "")
	if summary != nil {
		for _, entry := range summary.SummaryItems {
			counts := map[string]int{}
			for value, found := range entry.Counts {
				counts[value] = found.Total
			}
			facets[entry.Property] = counts
		}
	}
	return facets, err
}

func (p *peer) get(key string) (goserve.Answer, error) {
	found, exists, err := p.indexer.GetByKey(key)
	if err != nil || !exists {
		return goserve.Answer{}, err
	}
	raw, err := found.(*unstructured.Unstructured).MarshalJSON()
	return goserve.Answer{Total: 1, Body: fmt.Appendf(nil, `{"kind":"PodList","items":[%s]}`, raw)}, err
}

func options(question *goserve.Question) *sqltypes.ListOptions {
	options := &sqltypes.ListOptions{}
	add := func(filter sqltypes.Filter) {
		options.Filters = append(options.Filters, sqltypes.OrFilter{Filters: []sqltypes.Filter{filter}})
	}
	operators := map[string]sqltypes.Op{
		"=": sqltypes.Eq, "!=": sqltypes.NotEq, "in": sqltypes.In, "notin": sqltypes.NotIn,
		"exists": sqltypes.Exists, "!": sqltypes.NotExists,
	}
	for _, test := range question.Labels {
		field := []string{"metadata", "labels", test.Key}
		add(sqltypes.Filter{Field: field, Matches: test.Values, Op: operators[test.Op]})
	}
	for _, test := range question.Fields {
		add(sqltypes.Filter{Field: path(test.Path), Matches: []string{test.Value}, Op: sqltypes.Eq})
	}
	if question.NameContains != "" {
		add(sqltypes.Filter{
			Field: path("metadata.name"), Matches: []string{question.NameContains}, Op: sqltypes.Eq, Partial: true,
		})
	}
	if by := question.Sort; by != nil {
		sort := sqltypes.Sort{Fields: path(by.Path)}
		if by.Label != "" {
			sort.Fields = []string{"metadata", "labels", by.Label}
		}
		if by.Descending {
			sort.Order = sqltypes.DESC
		}
		options.SortList.SortDirectives = []sqltypes.Sort{sort, {Fields: path("id")}}
	}
	if question.Limit > 0 {
		options.Pagination = sqltypes.Pagination{
			PageSize: question.Limit, Page: question.Offset/question.Limit + 1,
		}
	}
	return options
}

func path(dotted string) []string { return strings.Split(dotted, ".") }

func main() { goserve.Main(newPeer) }
