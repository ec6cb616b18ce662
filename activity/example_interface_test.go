package activity_test

import (
	"context"
	"fmt"
	"time"

	"github.com/concurry-go/concurry/activity"
	"github.com/concurry-go/concurry/retrypolicy"
)

// Translator is all that callers know. It lives with the definition, in a
// package that imports no implementation.
type Translator interface {
	Translate(ctx context.Context, text string) (string, error)
}

var (
	translators = activity.Define[Translator]("Translator", activity.Options{
		Retry:       retrypolicy.Policy{NumRetries: 2},
		CallTimeout: time.Minute,
	})
	Translate = activity.Method(translators, "Translate", Translator.Translate)
)

// dictionary implements Translator, in the worker's program only.
type dictionary map[string]string

func (d dictionary) Translate(_ context.Context, text string) (string, error) {
	word, known := d[text]
	if !known {
		return "", retrypolicy.Permanent(fmt.Errorf("%q is not in the dictionary", text))
	}
	return word, nil
}

// A definition by an interface: callers need no implementation. The worker
// registers one: worker.Register[Translator](w, translators, dictionary{…}).
func ExampleDefine_interface() {
	reply, err := Translate.Inline(dictionary{"desert": "Wüste"}).Call(context.Background(), "desert")
	fmt.Println(reply, err)
	// Output: Wüste <nil>
}
