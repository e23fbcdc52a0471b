package resp

func objectHelp(c *conn, _ [][]byte) {
	c.help("OBJECT",
		"ENCODING <key>", "    Answers the name of the encoding that Redis would give the value.",
		"REFCOUNT <key>", "    Answers how many references there are to the value.")
}
