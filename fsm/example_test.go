package fsm_test

import (
	"bytes"
	"fmt"

	"kvapp/fsm"
)

// A leader stamps an entry; every node applies the same bytes and reaches the same state.
func Example() {
	entry := fsm.AppendEntryHeader(nil, 1_700_000_000_000, 42)
	entry = fsm.AppendEntryCommand(entry, 0, []byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"))

	node, joining := fsm.NewStore(), fsm.NewStore()
	if err := node.ApplyEntry(1, entry); err != nil {
		fmt.Println(err)
		return
	}
	view := node.Freeze()
	defer view.Close()
	var snapshot bytes.Buffer
	if _, err := view.WriteTo(&snapshot); err != nil {
		fmt.Println(err)
		return
	}
	if err := joining.Restore(&snapshot); err != nil {
		fmt.Println(err)
		return
	}
	copied := joining.Freeze()
	defer copied.Close()
	a, _ := view.Hash()
	b, _ := copied.Hash()
	keys, _ := joining.Keys(0)
	fmt.Println(a == b, keys, joining.Applied())
	// Output: true 1 1
}
