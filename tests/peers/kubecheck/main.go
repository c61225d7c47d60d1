// kubecheck FILE: reads the documents of a manifest as the API server does with strict field validation:
// a field that is unknown, stands twice or has another type is an error, and so is a kind that is not
// known here. Prints them as one JSON list, with every field under the name that the API has for it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// What there can be, by apiVersion and kind.
var kinds = map[string]func() any{
	"v1 ConfigMap":       func() any { return &corev1.ConfigMap{} },
	"v1 Service":         func() any { return &corev1.Service{} },
	"apps/v1 Deployment": func() any { return &appsv1.Deployment{} },
}

func readDocument(document []byte) (any, error) {
	var meta metav1.TypeMeta
	if err := strict.Unmarshal(document, &meta); err != nil {
		return nil, err
	}
	name := meta.APIVersion + " " + meta.Kind
	blank := kinds[name]
	if blank == nil {
		return nil, fmt.Errorf("%q is not known", name)
	}
	object := blank()
	if err := strict.UnmarshalStrict(document, object); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return object, nil
}

func read(path string) ([]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var objects []any
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object, err := readDocument(document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		objects = append(objects, object)
	}
}

func main() {
	objects, err := read(os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(objects)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubecheck:", err)
		os.Exit(1)
	}
}
