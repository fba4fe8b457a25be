// Evaluates CEL expressions with cel-go and Kubernetes' own libraries: the peer of styr.cel. Reads one JSON object a line,
// {"expression", "values"}, and answers one a line. `self` and `oldSelf` are dyn, `n` an int, `s` a string, `l` a list of ints,
// `w` a list of strings, `m` a map of strings to ints.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

type question struct {
	Expression string         `json:"expression"`
	Values     map[string]any `json:"values"`
}

type answer struct {
	Value   any    `json:"value,omitempty"`
	Type    string `json:"type,omitempty"`
	Error   string `json:"error,omitempty"`
	Compile string `json:"compile,omitempty"`
	Cost    uint64 `json:"cost"`
	Min     uint64 `json:"min"`
	Max     uint64 `json:"max"`
}

func show(v ref.Val) any {
	switch t := v.(type) {
	case types.Bool, types.Int, types.Uint, types.String:
		return []any{v.Type().TypeName(), fmt.Sprint(v.Value())}
	case types.Double:
		return []any{"double", strconv.FormatFloat(float64(t), 'g', -1, 64)}
	case types.Bytes:
		return []any{"bytes", fmt.Sprintf("%x", []byte(t))}
	case types.Null:
		return []any{"null_type"}
	case types.Duration:
		return []any{"duration", strconv.FormatInt(int64(t.Duration), 10)}
	case types.Timestamp:
		return []any{"timestamp", strconv.FormatInt(t.Unix(), 10) + "." + strconv.Itoa(t.Nanosecond())}
	case *types.Optional:
		if !t.HasValue() {
			return []any{"optional"}
		}
		return []any{"optional", show(t.GetValue())}
	case traits.Lister:
		items := []any{}
		for it := t.Iterator(); it.HasNext() == types.True; {
			items = append(items, show(it.Next()))
		}
		return []any{"list", items}
	case traits.Mapper:
		pairs := map[string]any{}
		keys := []string{}
		for it := t.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			text := plain(show(key))
			pairs[text] = show(t.Get(key))
			keys = append(keys, text)
		}
		sort.Strings(keys)
		items := []any{}
		for _, key := range keys {
			items = append(items, []any{key, pairs[key]})
		}
		return []any{"map", items}
	case *types.Type:
		return []any{"type", t.TypeName()}
	default:
		return []any{"other", v.Type().TypeName()}
	}
}

// plain is JSON without Go's escapes for HTML.
func plain(v any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

func native(v any) any {
	switch t := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(string(t), 10, 64); err == nil {
			return i
		}
		f, _ := t.Float64()
		return f
	case []any:
		for i := range t {
			t[i] = native(t[i])
		}
	case map[string]any:
		for k := range t {
			t[k] = native(t[k])
		}
	}
	return v
}

func ask(env *cel.Env, q question) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a.Error = fmt.Sprintf("panic: %v", r)
		}
	}()
	ast, issues := env.Compile(q.Expression)
	if issues != nil && issues.Err() != nil {
		a.Compile = issues.String()
		return a
	}
	a.Type = ast.OutputType().String()
	if estimate, err := env.EstimateCost(ast, &library.CostEstimator{SizeEstimator: &none{}}); err == nil {
		a.Min, a.Max = estimate.Min, estimate.Max
		if a.Max == math.MaxUint64 {
			a.Max = math.MaxInt64
		}
	}
	program, err := env.Program(ast)
	if err != nil {
		a.Error = "program: " + err.Error()
		return a
	}
	value, details, err := program.Eval(q.Values)
	if details != nil && details.ActualCost() != nil {
		a.Cost = *details.ActualCost()
	}
	if err != nil {
		a.Error = err.Error()
		return a
	}
	a.Value = show(value)
	return a
}

type none struct{}

func (*none) EstimateSize(checker.AstNode) *checker.SizeEstimate { return nil }
func (*none) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

func main() {
	set, err := environment.MustBaseEnvSet(version.MajorMinor(1, 35)).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable("self", cel.DynType), cel.Variable("oldSelf", cel.DynType), cel.Variable("n", cel.IntType),
			cel.Variable("s", cel.StringType), cel.Variable("l", cel.ListType(cel.IntType)),
			cel.Variable("w", cel.ListType(cel.StringType)), cel.Variable("m", cel.MapType(cel.StringType, cel.IntType)),
			library.JSONPatch(),
		},
	})
	if err != nil {
		panic(err)
	}
	env, err := set.Env(environment.StoredExpressions)
	if err != nil {
		panic(err)
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := bufio.NewWriter(os.Stdout)
	for in.Scan() {
		var q question
		decoder := json.NewDecoder(bytes.NewReader(in.Bytes()))
		decoder.UseNumber()
		if err := decoder.Decode(&q); err != nil {
			panic(err)
		}
		for name := range q.Values {
			q.Values[name] = native(q.Values[name])
		}
		line, err := json.Marshal(ask(env, q))
		if err != nil {
			panic(err)
		}
		out.Write(line)
		out.WriteByte('\n')
		out.Flush()
	}
}
