// Prints what Kubernetes' own code answers for the cases that the tests of vai.cli.printers use.
//
//	cd tests/apiserver && go run ../unit/cli/golden/generate.go \
//	    < ../unit/cli/golden/cases.json > ../unit/cli/golden/answers.json
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

type tableCase struct {
	Columns   []metav1.TableColumnDefinition `json:"columns"`
	Rows      []json.RawMessage              `json:"rows"`
	Objects   []json.RawMessage              `json:"objects"`
	Wide      bool                           `json:"wide"`
	Namespace bool                           `json:"namespace"`
	Labels    bool                           `json:"labels"`
	NoHeaders bool                           `json:"no_headers"`
	Kind      string                         `json:"kind"`
	Group     string                         `json:"group"`
}

type cases struct {
	DurationsMs []int64           `json:"durations_ms"`
	Tables      []tableCase       `json:"tables"`
	Object      json.RawMessage   `json:"object"`
	Columns     [][2]string       `json:"columns"`
	YAML        []json.RawMessage `json:"yaml"`
}

type answers struct {
	Durations []string      `json:"durations"`
	Tables    []string      `json:"tables"`
	Cells     []interface{} `json:"cells"`
	YAML      []string      `json:"yaml"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func table(one tableCase) string {
	made := &metav1.Table{ColumnDefinitions: one.Columns}
	for i := range one.Rows {
		var cells []interface{}
		must(kjson.Unmarshal(one.Rows[i], &cells))
		row := metav1.TableRow{Cells: cells}
		object := map[string]interface{}{}
		must(kjson.Unmarshal(one.Objects[i], &object))
		row.Object.Object = &unstructured.Unstructured{Object: object}
		made.Rows = append(made.Rows, row)
	}
	printer := printers.NewTablePrinter(printers.PrintOptions{
		Wide: one.Wide, WithNamespace: one.Namespace, ShowLabels: one.Labels,
		NoHeaders: one.NoHeaders, WithKind: one.Kind != "",
		Kind: schema.GroupKind{Group: one.Group, Kind: one.Kind},
	})
	out := &bytes.Buffer{}
	must(printer.PrintObj(made, out))
	return out.String()
}

func cell(object json.RawMessage, kind, path string) interface{} {
	convertor, err := tableconvertor.New([]apiextensions.CustomResourceColumnDefinition{
		{Name: "Column", Type: kind, JSONPath: path},
	})
	if err != nil {
		return map[string]string{"error": "path"}
	}
	decoded := map[string]interface{}{}
	must(kjson.Unmarshal(object, &decoded))
	made, err := convertor.ConvertToTable(
		context.Background(), &unstructured.Unstructured{Object: decoded}, nil)
	must(err)
	return made.Rows[0].Cells[1]
}

func main() {
	given, made := cases{}, answers{}
	must(json.NewDecoder(os.Stdin).Decode(&given))
	for _, ms := range given.DurationsMs {
		made.Durations = append(made.Durations,
			duration.HumanDuration(time.Duration(ms)*time.Millisecond))
	}
	for _, one := range given.Tables {
		made.Tables = append(made.Tables, table(one))
	}
	for _, one := range given.Columns {
		made.Cells = append(made.Cells, cell(given.Object, one[0], one[1]))
	}
	for _, one := range given.YAML {
		var value interface{}
		must(kjson.Unmarshal(one, &value))
		text, err := yaml.Marshal(value)
		must(err)
		made.YAML = append(made.YAML, string(text))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	must(encoder.Encode(made))
}
