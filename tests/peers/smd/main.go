// Command smd answers questions about typed objects with Kubernetes' own library, one JSON document a line:
//
//	{"op": "fields", "live": {...}}                     the set of an object's fields
//	{"op": "compare", "live": {...}, "config": {...}}   [removed, modified, added]
//	{"op": "merge", "live": {...}, "config": {...}}     the merged object
//	{"op": "steps", "steps": [...]}                     updates and applies, one after the other
//
// A step is {"manager", "apply": bool, "force": bool, "object"}; the answer holds, after each, the object and every manager's
// set, or "conflict". The schema is the first argument, in YAML; the type is "root". An error is {"error": "..."}.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

type step struct {
	Manager string
	Apply   bool
	Force   bool
	Object  any
}

type question struct {
	Op     string
	Live   any
	Config any
	Steps  []step
}

type same struct{}

func (same) Convert(object *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return object, nil
}

func (same) IsMissingVersionError(error) bool { return false }

func main() {
	parser, err := typed.NewParser(typed.YAMLObject(os.Args[1]))
	if err != nil {
		panic(err)
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<26)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var asked question
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			panic(err)
		}
		answer, err := solve(parser.Type("root"), asked)
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := out.Encode(answer); err != nil {
			panic(err)
		}
	}
}

func solve(root typed.ParseableType, asked question) (any, error) {
	if asked.Op == "steps" {
		return walk(root, asked.Steps)
	}
	live, err := root.FromUnstructured(asked.Live, typed.AllowDuplicates)
	if err != nil {
		return nil, err
	}
	if asked.Op == "fields" {
		set, err := live.ToFieldSet()
		if err != nil {
			return nil, err
		}
		return encode(set)
	}
	if asked.Op == "compare" {
		after, err := root.FromUnstructured(asked.Config, typed.AllowDuplicates)
		if err != nil {
			return nil, err
		}
		found, err := live.Compare(after)
		if err != nil {
			return nil, err
		}
		sets := []json.RawMessage{}
		for _, set := range []*fieldpath.Set{found.Removed, found.Modified, found.Added} {
			raw, err := encode(set)
			if err != nil {
				return nil, err
			}
			sets = append(sets, raw)
		}
		return sets, nil
	}
	config, err := root.FromUnstructured(asked.Config)
	if err != nil {
		return nil, err
	}
	merged, err := live.Merge(config)
	if err != nil {
		return nil, err
	}
	return merged.AsValue().Unstructured(), nil
}

func walk(root typed.ParseableType, steps []step) (any, error) {
	updater := (&merge.UpdaterBuilder{Converter: same{}, ReturnInputOnNoop: true}).BuildUpdater()
	live, err := root.FromUnstructured(map[string]any{})
	if err != nil {
		return nil, err
	}
	managers := fieldpath.ManagedFields{}
	states := []any{}
	for _, each := range steps {
		object, err := root.FromUnstructured(each.Object)
		if err != nil {
			return nil, err
		}
		before := managers.Copy()
		var after *typed.TypedValue
		if each.Apply {
			after, managers, err = updater.Apply(live, object, "v1", managers, each.Manager, each.Force)
		} else {
			after, managers, err = updater.Update(live, object, "v1", managers, each.Manager)
		}
		if _, is := err.(merge.Conflicts); is {
			managers = before
			states = append(states, "conflict")
			continue
		}
		if err != nil {
			return nil, err
		}
		if live, err = root.FromUnstructured(withoutNulls(after.AsValue().Unstructured()), typed.AllowDuplicates); err != nil {
			return nil, err
		}
		sets := map[string]json.RawMessage{}
		for name, set := range managers {
			if sets[name], err = encode(set.Set()); err != nil {
				return nil, err
			}
		}
		states = append(states, map[string]any{"object": live.AsValue().Unstructured(), "managers": sets})
	}
	return states, nil
}

// withoutNulls does what decoding into a structure of Go does to a map that lost its last key.
func withoutNulls(value any) any {
	object, is := value.(map[string]any)
	if !is {
		return value
	}
	kept := map[string]any{}
	for key, child := range object {
		if child != nil {
			kept[key] = withoutNulls(child)
		}
	}
	return kept
}

func encode(set *fieldpath.Set) (json.RawMessage, error) {
	return set.ToJSON()
}
