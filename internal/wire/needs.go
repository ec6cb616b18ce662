package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// unknownNeeds returns the fields that data says its readers have to know, and that
// document has none of.
func unknownNeeds(data []byte, document any) (unknown []string, err error) {
	if !bytes.Contains(data, []byte(`"needs"`)) { // nearly all
		return nil, nil
	}
	var d struct {
		Needs []string `json:"needs"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	known := fieldsOf(reflect.TypeOf(document))
	for _, name := range d.Needs {
		if !slices.Contains(known, name) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown, nil
}

// fieldsOf returns the names of a document's fields in JSON.
func fieldsOf(t reflect.Type) (names []string) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name != "":
			names = append(names, name)
		case f.Anonymous:
			names = append(names, fieldsOf(f.Type)...)
		default:
			names = append(names, f.Name)
		}
	}
	return names
}
