package goserve

// LabelTest is one requirement of a label selector: = != in notin exists !
type LabelTest struct {
	Key    string   `json:"key"`
	Op     string   `json:"op"`
	Values []string `json:"values"`
}

// PathTest is a path with a text.
type PathTest struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// SortKey is a path, or a label where Label is set; what lacks it comes last.
type SortKey struct {
	Path       string `json:"path"`
	Label      string `json:"label"`
	Descending bool   `json:"descending"`
}

// Question is what questions.py writes; everything that is given must hold.
type Question struct {
	Name         string      `json:"name"`
	Labels       []LabelTest `json:"labels"`
	Fields       []PathTest  `json:"fields"`
	Namespaces   []string    `json:"namespaces"`
	NameContains string      `json:"name_contains"`
	Unindexed    *PathTest   `json:"unindexed"`
	Sort         *SortKey    `json:"sort"`
	Limit        int         `json:"limit"`
	Offsets      []int       `json:"offsets"`
	Facets       []string    `json:"facets"`
	Walk         int         `json:"walk"`
	Gets         []string    `json:"gets"`

	// Of Offsets and Gets those of this call.
	Offset int    `json:"-"`
	Get    string `json:"-"`
}

// variant takes the next offset and key.
func (q *Question) variant(number int) Question {
	one := *q
	if len(q.Offsets) > 0 {
		one.Offset = q.Offsets[number%len(q.Offsets)]
	}
	if len(q.Gets) > 0 {
		one.Get = q.Gets[number%len(q.Gets)]
	}
	return one
}

// newQuestion has the defaults that are left out.
func newQuestion() Question { return Question{Limit: 100} }

// Facets are counts by field and value.
type Facets map[string]map[string]int

// Answer is (number of all matches, Kubernetes List, counts).
type Answer struct {
	Total  int
	Body   []byte
	Facets Facets
}
