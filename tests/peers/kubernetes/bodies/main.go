// Random objects of every kind that client-go knows, one JSON document a line: `kind`, `body` (the protobuf that a typed
// client sends, in base64) and `json` (what the server's own decoder reads from it, as JSON).
// Called by tests/api/test_protobuf_peer.py: bodies SEED ROUNDS.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"time"

	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/randfill"
)

var documents = []string{`{}`, `{"a":[1,2.5,null,true]}`, `"text"`, `[]`, `7`, `{"f:spec":{"f:x":{}}}`}

// The fields that a random value cannot fill: their types accept only some values.
func special(depth *int) []any {
	document := func(c randfill.Continue) []byte {
		if c.Intn(5) == 0 {
			return nil
		}
		return []byte(documents[c.Intn(len(documents))])
	}
	nested := func(fill func()) {
		if *depth < 2 {
			*depth++
			fill()
			*depth--
		}
	}
	return []any{
		func(m *meta.TypeMeta, c randfill.Continue) {},
		func(m *meta.Time, c randfill.Continue) {
			if c.Intn(4) > 0 {
				m.Time = time.Unix(c.Int63n(200_000_000_000)-30_000_000_000, c.Int63n(1_000_000_000))
			}
		},
		func(m *meta.MicroTime, c randfill.Continue) {
			if c.Intn(4) > 0 {
				m.Time = time.Unix(c.Int63n(200_000_000_000)-30_000_000_000, c.Int63n(1_000_000_000))
			}
		},
		func(m *meta.FieldsV1, c randfill.Continue) { m.Raw = document(c) },
		func(m *runtime.RawExtension, c randfill.Continue) { m.Raw = document(c) },
		func(m *extensions.JSON, c randfill.Continue) { m.Raw = document(c) },
		func(m *resource.Quantity, c randfill.Continue) {
			formats := []resource.Format{resource.DecimalSI, resource.BinarySI, resource.DecimalExponent}
			*m = *resource.NewQuantity(c.Int63n(1000_000), formats[c.Intn(3)])
			if c.Intn(3) == 0 {
				*m = *resource.NewMilliQuantity(c.Int63n(1000_000), resource.DecimalSI)
			}
			*m = resource.MustParse(m.String()) // as people write it: a number without suffix has lost its format
		},
		func(m *intstr.IntOrString, c randfill.Continue) {
			*m = intstr.FromInt32(int32(c.Uint32()))
			if c.Bool() {
				*m = intstr.FromString(c.String(8))
			}
		},
		func(m *float64, c randfill.Continue) { *m = float64(c.Intn(2_000_000)-1_000_000) / 64 },
		func(m *extensions.JSONSchemaProps, c randfill.Continue) { nested(func() { c.FillNoCustom(m) }) },
		func(m *extensions.JSONSchemaPropsOrArray, c randfill.Continue) { nested(func() { c.FillNoCustom(m) }) },
		func(m *extensions.JSONSchemaPropsOrBool, c randfill.Continue) { nested(func() { c.FillNoCustom(m) }) },
		func(m *extensions.JSONSchemaPropsOrStringArray, c randfill.Continue) {
			nested(func() { c.FillNoCustom(m) })
		},
	}
}

func kinds() []schema.GroupVersionKind {
	found := []schema.GroupVersionKind{}
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if gvk.Version != runtime.APIVersionInternal && gvk.Kind != "WatchEvent" {
			found = append(found, gvk)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].String() < found[j].String() })
	return found
}

func check(err error, what any) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what, err)
		os.Exit(1)
	}
}

func main() {
	seed, err := strconv.ParseInt(os.Args[1], 10, 64)
	check(err, "seed")
	rounds, err := strconv.Atoi(os.Args[2])
	check(err, "rounds")
	check(extensions.AddToScheme(scheme.Scheme), "scheme")
	serializer := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	out := json.NewEncoder(os.Stdout)
	depth := 0
	filler := randfill.New().RandSource(rand.NewSource(seed)).NilChance(0.4).NumElements(0, 3).MaxDepth(14)
	filler = filler.Funcs(special(&depth)...)
	for range rounds {
		for _, gvk := range kinds() {
			object, err := scheme.Scheme.New(gvk)
			check(err, gvk)
			filler.Fill(object)
			object.GetObjectKind().SetGroupVersionKind(gvk)
			var body bytes.Buffer
			check(serializer.Encode(object, &body), gvk)
			read, _, err := serializer.Decode(body.Bytes(), nil, nil)
			check(err, gvk)
			text, err := json.Marshal(read)
			check(err, gvk)
			check(out.Encode(map[string]any{
				"kind": gvk.String(),
				"body": base64.StdEncoding.EncodeToString(body.Bytes()),
				"json": json.RawMessage(text),
			}), gvk)
		}
	}
}
