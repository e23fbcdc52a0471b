package resp

import "kvapp/fsm"

func commandDocs(c *conn, args [][]byte) {
	list := c.srv.table.list
	if len(args) > 2 {
		list = nil
		for _, name := range args[2:] {
			if x := c.srv.table.byPath(name); x != nil {
				list = append(list, x)
			}
		}
	}
	c.out.Map(len(list))
	for _, x := range list {
		c.showDocs(x)
	}
}

// fields counts pairs that are only shown when they say something.
func fields(always int, optional ...bool) int {
	for _, has := range optional {
		if has {
			always++
		}
	}
	return always
}

func (c *conn) showDocs(x *command) {
	s := x.spec
	c.out.BulkString(x.name)
	deprecated := s.Deprecated != ""
	c.out.Map(fields(3, s.Complexity != "", deprecated || s.System, deprecated, deprecated, len(s.Args) > 0, len(x.list) > 0))
	c.pair("summary", s.Summary)
	c.pair("since", s.Since)
	c.pair("group", s.Group)
	if s.Complexity != "" {
		c.pair("complexity", s.Complexity)
	}
	if s.System {
		c.out.BulkString("doc_flags")
		c.statusSet("", []string{"syscmd"})
	}
	if deprecated {
		c.out.BulkString("doc_flags")
		c.statusSet("", []string{"deprecated"})
		c.pair("deprecated_since", s.Deprecated)
		c.pair("replaced_by", s.ReplacedBy)
	}
	if len(s.Args) > 0 {
		c.out.BulkString("arguments")
		c.showArgs(s.Args)
	}
	if len(x.list) > 0 {
		c.out.BulkString("subcommands")
		c.out.Map(len(x.list))
		for _, sub := range x.list {
			c.showDocs(sub)
		}
	}
}

func (c *conn) showArgs(args []fsm.Arg) {
	c.out.Array(len(args))
	for i := range args {
		a := &args[i]
		inGroup := a.Type == "key" || a.Group > 0
		c.out.Map(fields(2, inGroup, a.Token != "", a.Since != "", a.Deprecated != "", a.Optional || a.Multiple, len(a.Args) > 0))
		c.pair("name", a.Name)
		c.pair("type", a.Type)
		if inGroup {
			c.number("key_spec_index", int64(a.Group))
		}
		if a.Token != "" {
			c.pair("token", a.Token)
		}
		if a.Since != "" {
			c.pair("since", a.Since)
		}
		if a.Deprecated != "" {
			c.pair("deprecated_since", a.Deprecated)
		}
		var flags []string
		if a.Optional {
			flags = append(flags, "optional")
		}
		if a.Multiple {
			flags = append(flags, "multiple")
		}
		if a.MultipleToken {
			flags = append(flags, "multiple_token")
		}
		if len(flags) > 0 {
			c.out.BulkString("flags")
			c.statusSet("", flags)
		}
		if len(a.Args) > 0 {
			c.out.BulkString("arguments")
			c.showArgs(a.Args)
		}
	}
}
