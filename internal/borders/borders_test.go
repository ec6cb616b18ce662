// Package borders_test keeps what packages must not import.
package borders_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	root   = "../.."
	module = "github.com/concurry-go/concurry"
)

// Programs use policies and limits where there is no Temporal, and should not
// have to build it.
func TestPoliciesAndLimitsDoNotDependOnTemporal(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"./retrypolicy", "./limits"} {
		command := exec.CommandContext(t.Context(), "go", "list", "-deps", name)
		command.Dir, command.Env = root, append(os.Environ(), "GOWORK=off")
		out, err := command.Output()
		require.NoError(t, err, name)
		for dependency := range strings.FieldsSeq(string(out)) {
			for _, foreign := range []string{"go.temporal.io/", "google.golang.org/"} {
				assert.False(t, strings.HasPrefix(dependency, foreign), "%s depends on %s", name, dependency)
			}
		}
	}
}

// The modules in contrib have versions of their own, which must go on compiling
// with every later version of the root.
func TestContribImportsNothingInternal(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir(filepath.Join(root, "contrib"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			assert.False(t, strings.HasPrefix(imported, module+"/internal/"), "%s imports %s", path, imported)
		}
		return nil
	})
	require.NoError(t, err)
	assert.Positive(t, files)
}

// An importer does not see the replacements in go.mod, so that the version which
// contrib requires of the root must be one that there is.
func TestContribRequiresAVersionThatThereIs(t *testing.T) {
	t.Parallel()
	mods, err := filepath.Glob(filepath.Join(root, "contrib", "*", "go.mod"))
	require.NoError(t, err)
	assert.NotEmpty(t, mods)
	for _, mod := range mods {
		text, err := os.ReadFile(mod)
		require.NoError(t, err)
		assert.Contains(t, string(text), "\t"+module+" v", mod)
		assert.NotContains(t, string(text), "v0.0.0-00010101000000-000000000000", mod)
	}
}
