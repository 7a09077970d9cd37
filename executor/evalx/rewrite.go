package evalx

import "go.starlark.net/syntax"

// Starlark's own % and str.format know no widths and no precision. So `a % b` is rewritten as a call of modulo, and
// `x.format` as a call of formatter, which are Python's.
const (
	moduloName    = "%"
	formatterName = ".format"
)

// rewriteStmts rewrites all expressions of statements in place.
func rewriteStmts(stmts []syntax.Stmt) {
	for _, stmt := range stmts {
		switch s := stmt.(type) {
		case *syntax.AssignStmt:
			s.RHS = rewrite(s.RHS)
		case *syntax.DefStmt:
			rewriteAll(s.Params)
			rewriteStmts(s.Body)
		case *syntax.ExprStmt:
			s.X = rewrite(s.X)
		case *syntax.IfStmt:
			s.Cond = rewrite(s.Cond)
			rewriteStmts(s.True)
			rewriteStmts(s.False)
		case *syntax.ForStmt:
			s.X = rewrite(s.X)
			rewriteStmts(s.Body)
		case *syntax.WhileStmt:
			s.Cond = rewrite(s.Cond)
			rewriteStmts(s.Body)
		case *syntax.ReturnStmt:
			s.Result = rewrite(s.Result)
		}
	}
}

func rewriteAll(list []syntax.Expr) {
	for i, x := range list {
		list[i] = rewrite(x)
	}
}

// rewrite returns x with its parts rewritten; a nil stays nil.
func rewrite(x syntax.Expr) syntax.Expr {
	switch x := x.(type) {
	case *syntax.BinaryExpr:
		x.X, x.Y = rewriteLeft(x), rewrite(x.Y)
		if x.Op == syntax.PERCENT {
			return callOf(moduloName, x.OpPos, x.X, x.Y)
		}
	case *syntax.DotExpr:
		x.X = rewrite(x.X)
		if x.Name.Name == "format" {
			return callOf(formatterName, x.NamePos, x.X)
		}
	case *syntax.CallExpr:
		x.Fn = rewrite(x.Fn)
		rewriteAll(x.Args)
	case *syntax.Comprehension:
		x.Body = rewrite(x.Body)
		for _, clause := range x.Clauses {
			switch c := clause.(type) {
			case *syntax.ForClause:
				c.X = rewrite(c.X)
			case *syntax.IfClause:
				c.Cond = rewrite(c.Cond)
			}
		}
	case *syntax.CondExpr:
		x.Cond, x.True, x.False = rewrite(x.Cond), rewrite(x.True), rewrite(x.False)
	case *syntax.DictExpr:
		rewriteAll(x.List)
	case *syntax.DictEntry:
		x.Key, x.Value = rewrite(x.Key), rewrite(x.Value)
	case *syntax.IndexExpr:
		x.X, x.Y = rewrite(x.X), rewrite(x.Y)
	case *syntax.LambdaExpr:
		rewriteAll(x.Params)
		x.Body = rewrite(x.Body)
	case *syntax.ListExpr:
		rewriteAll(x.List)
	case *syntax.ParenExpr:
		x.X = rewrite(x.X)
	case *syntax.SliceExpr:
		x.X, x.Lo, x.Hi, x.Step = rewrite(x.X), rewrite(x.Lo), rewrite(x.Hi), rewrite(x.Step)
	case *syntax.TupleExpr:
		rewriteAll(x.List)
	case *syntax.UnaryExpr:
		x.X = rewrite(x.X)
	}
	return x
}

// rewriteLeft keeps `name = value` of calls and parameters, which are binary expressions too, as they are on the left.
func rewriteLeft(x *syntax.BinaryExpr) syntax.Expr {
	if x.Op == syntax.EQ {
		return x.X
	}
	return rewrite(x.X)
}

func callOf(name string, at syntax.Position, args ...syntax.Expr) syntax.Expr {
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: at, Name: name}, Lparen: at, Args: args, Rparen: at}
}
