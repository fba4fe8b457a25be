// A typed client that sends protobuf, as every Go program over client-go does: creates, changes and deletes objects through
// the server of a kubeconfig, and fails when an answer is not what was sent. Called by tests/conformance/clients/test_go.py:
// client KUBECONFIG NAMESPACE.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	apps "k8s.io/api/apps/v1"
	authorization "k8s.io/api/authorization/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
)

var (
	ctx       = context.Background()
	namespace = os.Args[2]
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func same[T comparable](what string, found, wanted T) {
	if found != wanted {
		panic(fmt.Sprintf("%s: %v, not %v", what, found, wanted))
	}
	fmt.Println("ok", what)
}

func main() {
	config := must(clientcmd.BuildConfigFromFlags("", os.Args[1]))
	config.ContentType = runtime.ContentTypeProtobuf
	client := must(kubernetes.NewForConfig(config))
	deployments(client)
	secretsAndMaps(client)
	leasesAndEvents(client)
	reviews(client)
}

func deployments(client kubernetes.Interface) {
	all := client.AppsV1().Deployments(namespace)
	replicas, surge := int32(0), intstr.FromString("30%")
	labels := map[string]string{"app": "web"}
	made := must(all.Create(ctx, &apps.Deployment{
		ObjectMeta: meta.ObjectMeta{Name: "web", Labels: labels},
		Spec: apps.DeploymentSpec{
			Replicas: &replicas,
			Selector: &meta.LabelSelector{MatchLabels: labels},
			Strategy: apps.DeploymentStrategy{RollingUpdate: &apps.RollingUpdateDeployment{MaxSurge: &surge}},
			Template: core.PodTemplateSpec{
				ObjectMeta: meta.ObjectMeta{Labels: labels},
				Spec: core.PodSpec{
					Containers: []core.Container{{
						Name:  "main",
						Image: "styr.dev/host",
						Resources: core.ResourceRequirements{
							Requests: core.ResourceList{core.ResourceMemory: resource.MustParse("64Mi")},
						},
						ReadinessProbe: &core.Probe{ProbeHandler: core.ProbeHandler{
							HTTPGet: &core.HTTPGetAction{Path: "/", Port: intstr.FromInt32(8080)},
						}},
					}},
					Volumes: []core.Volume{{
						Name: "scratch", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}},
					}},
				},
			},
		},
	}, meta.CreateOptions{FieldValidation: "Strict"}))
	same("zero replicas", *made.Spec.Replicas, 0)
	same("surge", made.Spec.Strategy.RollingUpdate.MaxSurge.String(), "30%")
	same("probe", made.Spec.Template.Spec.Containers[0].ReadinessProbe.HTTPGet.Port.IntValue(), 8080)
	same("volume", made.Spec.Template.Spec.Volumes[0].EmptyDir != nil, true)
	same("memory", made.Spec.Template.Spec.Containers[0].Resources.Requests.Memory().String(), "64Mi")
	// The server's own controllers write to it as well: what is stale is read again.
	check(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found := must(all.Get(ctx, "web", meta.GetOptions{}))
		found.Annotations = map[string]string{"a": "b"}
		changed, err := all.Update(ctx, found, meta.UpdateOptions{})
		if err == nil {
			same("annotation", changed.Annotations["a"], "b")
			same("generation kept", changed.Generation, made.Generation)
		}
		return err
	}))
	check(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found := must(all.Get(ctx, "web", meta.GetOptions{}))
		found.Status.Replicas = 3
		changed, err := all.UpdateStatus(ctx, found, meta.UpdateOptions{})
		if err == nil {
			same("status", changed.Status.Replicas, 3)
		}
		return err
	}))
	check(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale := must(all.GetScale(ctx, "web", meta.GetOptions{}))
		scale.Spec.Replicas = 0
		changed, err := all.UpdateScale(ctx, "web", scale, meta.UpdateOptions{})
		if err == nil {
			same("scale", changed.Spec.Replicas, 0)
		}
		return err
	}))
	policy := meta.DeletePropagationBackground
	wrong := meta.DeleteOptions{Preconditions: meta.NewUIDPreconditions("other"), PropagationPolicy: &policy}
	same("wrong uid", all.Delete(ctx, "web", wrong) != nil, true)
	right := meta.DeleteOptions{Preconditions: meta.NewUIDPreconditions(string(made.UID)), PropagationPolicy: &policy}
	check(all.Delete(ctx, "web", right))
}

func secretsAndMaps(client kubernetes.Interface) {
	secret := must(client.CoreV1().Secrets(namespace).Create(ctx, &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: "keys"},
		Data:       map[string][]byte{"binary": {0, 255, 1}, "empty": {}},
		StringData: map[string]string{"word": "text"},
	}, meta.CreateOptions{}))
	same("secret", string(secret.Data["binary"])+string(secret.Data["word"]), "\x00\xff\x01text")
	maps := client.CoreV1().ConfigMaps(namespace)
	made := must(maps.Create(ctx, &core.ConfigMap{
		ObjectMeta: meta.ObjectMeta{GenerateName: "map-"}, Data: map[string]string{"k": "v", "empty": ""},
	}, meta.CreateOptions{}))
	made.Data["k"] = "w"
	same("map", must(maps.Update(ctx, made, meta.UpdateOptions{})).Data["k"], "w")
	check(maps.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{}))
	left := must(maps.List(ctx, meta.ListOptions{FieldSelector: "metadata.name=" + made.Name}))
	same("maps left", len(left.Items), 0)
}

func leasesAndEvents(client kubernetes.Interface) {
	holder, seconds, now := "me", int32(15), meta.NewMicroTime(time.Unix(1_700_000_000, 123_456_000))
	lease := must(client.CoordinationV1().Leases(namespace).Create(ctx, &coordination.Lease{
		ObjectMeta: meta.ObjectMeta{Name: "leader"},
		Spec: coordination.LeaseSpec{
			HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now,
		},
	}, meta.CreateOptions{}))
	same("lease", lease.Spec.RenewTime.UnixNano(), now.UnixNano())
	event := must(client.CoreV1().Events(namespace).Create(ctx, &core.Event{
		ObjectMeta:     meta.ObjectMeta{GenerateName: "web."},
		InvolvedObject: core.ObjectReference{Kind: "Pod", Name: "web", Namespace: namespace},
		Reason:         "Started",
		Type:           "Normal",
		FirstTimestamp: meta.NewTime(time.Unix(1_700_000_000, 0)),
	}, meta.CreateOptions{}))
	same("event", event.FirstTimestamp.Unix(), 1_700_000_000)
}

func reviews(client kubernetes.Interface) {
	review := must(client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorization.SelfSubjectAccessReview{
		Spec: authorization.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorization.ResourceAttributes{Verb: "list", Resource: "pods"},
		},
	}, meta.CreateOptions{}))
	same("review", review.Status.Allowed, true)
}
