package evalx

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"fandango/executor"
	"fandango/ipc"
)

// dialect is Starlark with what makes it behave like Python.
var dialect = &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, GlobalReassign: true, Recursion: true}

// source evaluates a text. names: the value is no value but the names that the text has bound.
func (e *Evaluator) source(text string) (v starlark.Value, names bool, err error) {
	if x, ok := e.cache.get([]byte(text)); ok {
		v, err = starlark.Call(e.thread, x.fn, nil, nil)
		return v, false, err
	}
	file, err := parse(text)
	if err != nil {
		return nil, false, err
	}
	if len(file.Stmts) == 1 {
		if stmt, ok := file.Stmts[0].(*syntax.ExprStmt); ok {
			constant := isConstantLambda(stmt.X)
			f, err := e.compile(stmt.X)
			if err != nil {
				return nil, false, err
			}
			if v, err = starlark.Call(e.thread, f, nil, nil); err != nil {
				constant = false
			}
			x := compiled{fn: f}
			if constant {
				x.lambda = e.thing(v)
			}
			e.cache.put(text, x)
			return v, false, err
		}
	}
	if e.of > 1 && !e.now.bind && !executor.RequestOptions(e.now.outer).All {
		if all := boundNames(file.Stmts...); len(all) > 0 {
			return nil, false, taskError("SessionError", "%s = … reaches one of %d workers: use -j 1 or --all", all[0], e.of)
		}
	}
	for _, stmt := range file.Stmts {
		if v, names, err = e.statement(file, stmt); err != nil {
			return nil, false, err
		}
	}
	return v, names, nil
}

// statement runs one statement of the session. It answers an expression's value, or what the statement has bound.
func (e *Evaluator) statement(file *syntax.File, stmt syntax.Stmt) (v starlark.Value, names bool, err error) {
	e.last.thing = nil // it may give a name another meaning
	one := &syntax.File{Path: file.Path, Stmts: []syntax.Stmt{stmt}, Options: file.Options}
	switch stmt := stmt.(type) {
	case *syntax.ExprStmt:
		f, err := e.compile(stmt.X)
		if err != nil {
			return nil, false, err
		}
		v, err = starlark.Call(e.thread, f, nil, nil)
		return v, false, err
	case *syntax.AssignStmt:
		name, ok := unparen(stmt.LHS).(*syntax.Ident)
		if !ok || stmt.Op != syntax.EQ {
			break
		}
		f, err := e.compile(stmt.RHS)
		if err != nil {
			return nil, false, err
		}
		v, err := starlark.Call(e.thread, f, nil, nil)
		if err != nil {
			return nil, false, err
		}
		e.names[name.Name] = v
		return starlark.String(name.Name), true, nil
	case *syntax.DefStmt:
		if err := e.define(one); err != nil {
			return nil, false, err
		}
		return starlark.String(stmt.Name.Name), true, nil
	case *syntax.LoadStmt:
		return nil, false, &ipc.Error{Kind: ipc.KindTask, Type: "ImportError", Message: "load reads files, and there are none here; use import"}
	}
	// Anything else may read and write names: it runs with the whole session as its globals.
	rewriteStmts(one.Stmts)
	if err := starlark.ExecREPLChunk(one, e.thread, e.names); err != nil {
		return nil, false, err
	}
	if _, ok := stmt.(*syntax.AssignStmt); ok {
		return answer(boundNames(stmt)), true, nil
	}
	return starlark.None, true, nil
}

// define runs a def. Its free names are looked up in the session when it is called, as in Python; so it gets them
// predeclared and not as globals, which would be a copy.
func (e *Evaluator) define(file *syntax.File) error {
	rewriteStmts(file.Stmts)
	prog, err := starlark.FileProgram(file, anyName)
	if err != nil {
		return err
	}
	defined, err := prog.Init(e.thread, e.names)
	maps.Copy(e.names, defined)
	return err
}

// anyName lets every name pass the compiler: it is looked up when it is used, as in Python, so a function may name what
// is defined later.
func anyName(string) bool { return true }

// compile makes a func of an expression.
func (e *Evaluator) compile(x syntax.Expr) (*starlark.Function, error) {
	x = rewrite(x)
	start := syntax.Start(x)
	def := &syntax.DefStmt{
		Def:  start,
		Name: &syntax.Ident{NamePos: start, Name: expressionName},
		Body: []syntax.Stmt{&syntax.ReturnStmt{Return: start, Result: x}},
	}
	prog, err := starlark.FileProgram(&syntax.File{Path: sourceName, Stmts: []syntax.Stmt{def}, Options: dialect}, anyName)
	if err != nil {
		return nil, err
	}
	defined, err := prog.Init(e.thread, e.names)
	if err != nil {
		return nil, err
	}
	f, ok := defined[expressionName].(*starlark.Function)
	if !ok {
		return nil, errors.New("the expression has no value")
	}
	return f, nil
}

// What stands in positions and traces for the text of a task, and for the expression that it is.
const (
	sourceName     = "task"
	expressionName = "<expression>"
)

// maxImports bounds the import clauses of one text.
const maxImports = 100

// parse reads a text as statements. Starlark has no import: the parser stops at one, and it is rewritten right there,
// so no string that says "import" is ever touched.
func parse(text string) (*syntax.File, error) {
	if err := guard(text); err != nil {
		return nil, err
	}
	text = trim(text)
	if text == "" {
		return nil, syntaxError("there is nothing to evaluate")
	}
	for range maxImports {
		file, err := dialect.Parse(sourceName, text, 0)
		if err == nil {
			if len(file.Stmts) == 0 {
				return nil, syntaxError("there is nothing to evaluate")
			}
			return file, nil
		}
		var at syntax.Error
		if !errors.As(err, &at) {
			return nil, err
		}
		rewritten, ok, importErr := rewriteImport(text, at.Pos)
		if importErr != nil {
			return nil, importErr
		}
		if !ok {
			return nil, badSyntax(text, at)
		}
		text = rewritten
	}
	return nil, syntaxError(fmt.Sprintf("more than %d imports", maxImports))
}

// trim drops what may surround a text. The indentation of several lines stays: it has to agree.
func trim(text string) string {
	text = strings.TrimRight(text, " \t\r\n")
	if strings.Contains(text, "\n") {
		return strings.TrimLeft(text, "\r\n")
	}
	return strings.TrimLeft(text, " \t\r\n")
}

var (
	importClause = pattern(`^import[ \t]+([^;#\n]+)`)
	fromClause   = pattern(`^from[ \t]+([\w.]+)[ \t]+import[ \t]+([^;#\n]+)`)
	importItem   = pattern(`^\s*([\w.]+)(?:\s+as\s+(\w+))?\s*$`)
)

// rewriteImport makes an assignment of the import at pos; ok: there was one.
func rewriteImport(text string, pos syntax.Position) (_ string, ok bool, err error) {
	at := offset(text, pos)
	rest := text[at:]
	var clause, module, items string
	if m := importClause().FindStringSubmatch(rest); m != nil {
		clause, items = m[0], m[1]
	} else if m := fromClause().FindStringSubmatch(rest); m != nil {
		clause, module, items = m[0], m[1], m[2]
	} else {
		return "", false, nil
	}
	items = strings.TrimSpace(items)
	if strings.HasPrefix(items, "(") && strings.HasSuffix(items, ")") {
		items = items[1 : len(items)-1]
	}
	var names, values []string
	for item := range strings.SplitSeq(items, ",") {
		m := importItem().FindStringSubmatch(item)
		if m == nil {
			return "", false, syntaxError("import: name what to import; got " + fmt.Sprintf("%.60q", strings.TrimSpace(item)))
		}
		name := m[2]
		switch {
		case name != "":
		case module == "" && strings.Contains(m[1], "."):
			name, _, _ = strings.Cut(m[1], ".")
		default:
			name = m[1]
		}
		names = append(names, name)
		if module == "" {
			values = append(values, fmt.Sprintf("__import__(%q)", m[1]))
		} else {
			values = append(values, fmt.Sprintf("__import__(%q, %q)", module, m[1]))
		}
	}
	return text[:at] + strings.Join(names, ", ") + " = " + strings.Join(values, ", ") + text[at+len(clause):], true, nil
}

// offset is where pos is in text: lines and columns count from 1, columns in runes.
func offset(text string, pos syntax.Position) int {
	at := 0
	for range pos.Line - 1 {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			return len(text)
		}
		at += next + 1
	}
	column := int32(1)
	for i := range text[at:] {
		if column == pos.Col {
			return at + i
		}
		column++
	}
	return len(text)
}

// boundNames lists the session names that statements bind, in order.
func boundNames(stmts ...syntax.Stmt) []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, stmt := range stmts {
		syntax.Walk(stmt, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.DefStmt:
				add(n.Name.Name)
				return false
			case *syntax.AssignStmt:
				targets(n.LHS, add)
			case *syntax.ForStmt:
				targets(n.Vars, add)
			case syntax.Expr:
				return false // an expression binds nothing here
			}
			return true
		})
	}
	return names
}

// targets calls add with each name that an assignment to x binds.
func targets(x syntax.Expr, add func(string)) {
	switch x := unparen(x).(type) {
	case *syntax.Ident:
		add(x.Name)
	case *syntax.TupleExpr:
		for _, item := range x.List {
			targets(item, add)
		}
	case *syntax.ListExpr:
		for _, item := range x.List {
			targets(item, add)
		}
	}
}

func unparen(x syntax.Expr) syntax.Expr {
	for {
		p, ok := x.(*syntax.ParenExpr)
		if !ok {
			return x
		}
		x = p.X
	}
}

// answer is what an assignment answers: the name that it has bound, or a list of several.
func answer(names []string) starlark.Value {
	if len(names) == 1 {
		return starlark.String(names[0])
	}
	list := make([]starlark.Value, len(names))
	for i, name := range names {
		list[i] = starlark.String(name)
	}
	return starlark.NewList(list)
}
