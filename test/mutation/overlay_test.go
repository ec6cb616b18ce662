package mutation

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A change is a file in testdata that reads like a patch without line numbers, so
// that it applies until the very lines change:
//
//	@@ internal/engine/journal.go
//	 	j.ServerAttempt = k
//	+	j.Started = int(k) - 1
//
// Lines that stay or go must stand in the file exactly once, one after the other.
type hunk struct{ file, old, new string }

// changes are the mutations by name, each of which must have a file.
func changes(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.change")
	require.NoError(t, err)
	named := map[string]string{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".change")
		require.Contains(t, mutations, name, "nothing says what notices it")
		named[name] = file
	}
	require.Len(t, named, len(mutations))
	return named
}

func hunks(t *testing.T, file string) (all []hunk) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.SplitAfterSeq(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "@@ "); ok {
			all = append(all, hunk{file: strings.TrimSpace(name)})
			continue
		}
		if line == "" {
			continue
		}
		require.NotEmpty(t, all, "%s: a line before the first @@", file)
		h := &all[len(all)-1]
		switch line[0] {
		case '-':
			h.old += line[1:]
		case '+':
			h.new += line[1:]
		case ' ':
			h.old += line[1:]
			h.new += line[1:]
		default:
			require.Fail(t, "a line must begin with -, + or a space", "%s: %q", file, line)
		}
	}
	return all
}

// overlay makes what the go command takes for the files that a change changes.
func overlay(t *testing.T, name string) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir, replace := t.TempDir(), map[string]string{}
	for _, h := range hunks(t, filepath.Join("testdata", name+".change")) {
		original := filepath.Join(root, h.file)
		from := original
		if changed, ok := replace[original]; ok {
			from = changed
		}
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), h.old), "%s: where the engine has changed, write the change anew: in %s there must be exactly one\n%s", name, h.file, h.old)
		changed := filepath.Join(dir, strings.ReplaceAll(h.file, "/", "_"))
		require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(text), h.old, h.new, 1)), 0o600))
		replace[original] = changed
	}
	require.NotEmpty(t, replace, name)
	data, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return file
}
