// Package converters knows how a worker's client turns values into payloads, so
// that everything that is the user's goes through the user's own converters.
package converters

import (
	"errors"
	"reflect"
	"strings"

	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
)

// Parts are what a worker has of its client.
type Parts struct {
	// Data and Failure are the client's converters.
	Data    converter.DataConverter
	Failure converter.FailureConverter
	// Namespace is the client's, Identity the worker's.
	Namespace, Identity string
	// Deployment is the worker's version; nil without one.
	Deployment *deploymentpb.WorkerDeploymentOptions
	// Logger is the worker's, or the client's; nil where there is none.
	Logger log.Logger
}

// Default are the parts of a client without options.
func Default() Parts {
	return Parts{Data: converter.GetDefaultDataConverter(), Failure: temporal.GetDefaultFailureConverter()}
}

// IsDefault reports whether values and errors are encoded as Temporal does without
// options.
func (p Parts) IsDefault() bool {
	return p.Data == converter.GetDefaultDataConverter() && p.Failure == temporal.GetDefaultFailureConverter()
}

// ErrHidden is returned where a worker does not show what it is made of.
var ErrHidden = errors.New("this version of Temporal's SDK does not show a worker's DataConverter")

// OfWorker returns the parts of the worker behind the registry that plugins are
// given when it starts.
//
// Temporal's SDK gives them to nobody: an interceptor sees values that were
// decoded already, and what it sends again must be encoded as the client would.
// So this reads the worker's own fields, by their types, whatever struct of the
// worker they stand in.
//
// In Temporal's test environments, which are no workers, they are the defaults.
func OfWorker(registry any) (Parts, error) {
	v := reflect.ValueOf(registry)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return Default(), nil
	}
	p, ok := partsOf(v.Elem())
	for i := 0; !ok && i < v.Elem().NumField(); i++ {
		if f := v.Elem().Field(i); f.Kind() == reflect.Struct {
			p, ok = partsOf(f)
		}
	}
	if !ok {
		return Parts{}, ErrHidden
	}
	return p, nil
}

// OfClient returns the parts of a client of Temporal's SDK; the defaults of any
// other, such as a mock.
func OfClient(c client.Client) Parts {
	v := reflect.ValueOf(c)
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct {
		if p, ok := partsOf(v.Elem()); ok {
			return p
		}
	}
	return Default()
}

// partsOf reads a struct that has both converters.
func partsOf(v reflect.Value) (p Parts, ok bool) {
	data, ok := field[converter.DataConverter](v)
	if !ok {
		return p, false
	}
	failure, ok := field[converter.FailureConverter](v)
	if !ok {
		return p, false
	}
	text := func(name string) string {
		for _, name := range []string{name, strings.ToLower(name)} {
			if f := v.FieldByName(name); f.Kind() == reflect.String {
				return f.String()
			}
		}
		return ""
	}
	p = Parts{Data: data, Failure: failure, Namespace: text("Namespace"), Identity: text("Identity")}
	p.Logger, _ = field[log.Logger](v)
	if d, ok := field[worker.DeploymentOptions](v); ok {
		p.Deployment = deployment(d)
	}
	return p, true
}

// deployment is what a worker with d tells the server of itself.
func deployment(d worker.DeploymentOptions) *deploymentpb.WorkerDeploymentOptions {
	if d.Version.DeploymentName == "" && d.Version.BuildID == "" {
		return nil
	}
	mode := enumspb.WORKER_VERSIONING_MODE_UNVERSIONED
	if d.UseVersioning {
		mode = enumspb.WORKER_VERSIONING_MODE_VERSIONED
	}
	return &deploymentpb.WorkerDeploymentOptions{
		DeploymentName: d.Version.DeploymentName, BuildId: d.Version.BuildID, WorkerVersioningMode: mode,
	}
}

// field is the value of v's first field of type T, exported or not; ok is false
// if there is none, or it is a nil interface. v must be addressable.
func field[T any](v reflect.Value) (value T, ok bool) {
	for _, f := range v.Fields() {
		if f.Type() != reflect.TypeFor[T]() || !f.CanAddr() || f.Kind() == reflect.Interface && f.IsNil() {
			continue
		}
		value, ok = reflect.TypeAssert[T](reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem())
		return value, ok
	}
	return value, false
}
