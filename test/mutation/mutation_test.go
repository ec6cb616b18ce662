// Package mutation proves that the crash table can fail: it breaks the engine
// in known ways, each a patch in testdata, and demands that cells notice.
package mutation

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/concurry-go/concurry/testsuite/devserver"
)

// noticed names, for each patch, cells that must fail with it.
var noticed = map[string]string{
	"record-skipped.patch":          "TestCrashTable/SIGKILL_in_a_later_body",
	"count-from-info-attempt.patch": "TestCrashTable/SIGKILL_in_a_later_body",
	"fence-ignored.patch":           "TestCrashTable/SIGSTOP/while_waiting_in_place",
}

func TestBrokenEnginesFailTheCrashTable(t *testing.T) {
	t.Parallel()
	git, err := exec.LookPath("git")
	require.NoError(t, err, "git applies the patches; it is missing")
	program, err := devserver.Find(t.Context(), os.Stderr)
	require.NoError(t, err)
	patches, err := filepath.Glob("testdata/*.patch")
	require.NoError(t, err)
	require.Len(t, patches, len(noticed))
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for _, patch := range append(patches, "") {
		name := filepath.Base(patch)
		if patch == "" {
			name = "unbroken"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, part := range []string{"go.mod", "go.sum", "activity", "internal", "limits", "retrypolicy", "validation", "worker", "testsuite", "test"} {
				copyTree(t, filepath.Join(root, part), filepath.Join(dir, part))
			}
			cells := noticed[name]
			if patch == "" {
				cells = "TestCrashTable/SIGKILL_in_a_later_body|TestCrashTable/SIGSTOP/while_waiting_in_place"
			} else {
				absolute, err := filepath.Abs(patch)
				require.NoError(t, err)
				apply := exec.CommandContext(t.Context(), git, "apply", absolute)
				apply.Dir = dir
				out, err := apply.CombinedOutput()
				require.NoError(t, err, "the engine has changed: make the patch anew\n%s", out)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			run := exec.CommandContext(ctx, "go", "test", "./fire", "-run", cells, "-count=1", "-fire.table", "-fire.rounds=3")
			run.Dir = filepath.Join(dir, "test")
			run.Env = append(os.Environ(), "GOWORK=off", devserver.EnvPath+"="+program)
			out, err := run.CombinedOutput()
			if patch == "" {
				require.NoError(t, err, "%s", out)
				return
			}
			require.Error(t, err, "no cell noticed\n%s", out)
			assert.Contains(t, string(out), "bodies started", "it failed for another reason\n%s", out)
		})
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o600)
	}))
}
