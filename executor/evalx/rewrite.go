package evalx

import (
	"math/big"

	"go.starlark.net/syntax"
)

// Starlark's own % and str.format know no widths and no precision. So `a % b` is rewritten as a call of modulo, and
// `x.format` as a call of formatter, which are Python's. Products are rewritten for another reason; see limitedName.
const (
	moduloName    = "%"
	formatterName = ".format"
)

// rewriteStmts rewrites all expressions of statements in place.
func rewriteStmts(stmts []syntax.Stmt) {
	for _, stmt := range stmts {
		switch s := stmt.(type) {
		case *syntax.AssignStmt:
			rewriteTarget(s.LHS)
			s.RHS = rewrite(s.RHS)
			rewriteAugmented(s)
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
			rewriteTarget(s.Vars)
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

// rewriteTarget rewrites the parts of what is assigned to.
func rewriteTarget(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.DotExpr:
		x.X = rewrite(x.X)
	case *syntax.IndexExpr:
		x.X, x.Y = rewrite(x.X), rewrite(x.Y)
	case *syntax.ListExpr:
		for _, item := range x.List {
			rewriteTarget(item)
		}
	case *syntax.ParenExpr:
		rewriteTarget(x.X)
	case *syntax.TupleExpr:
		for _, item := range x.List {
			rewriteTarget(item)
		}
	}
}

// rewriteAugmented makes `a = a op b` of `a op= b`, for those that rewrite rewrites. Where a is more than a name it may
// do something, and is to do it once.
func rewriteAugmented(s *syntax.AssignStmt) {
	var op syntax.Token
	switch s.Op {
	case syntax.STAR_EQ:
		op = syntax.STAR
	case syntax.LTLT_EQ:
		op = syntax.LTLT
	case syntax.PERCENT_EQ:
		op = syntax.PERCENT
	default:
		return
	}
	name, ok := unparen(s.LHS).(*syntax.Ident)
	switch {
	case ok:
		s.Op = syntax.EQ
		s.RHS = rewriteBinary(&syntax.BinaryExpr{X: &syntax.Ident{NamePos: name.NamePos, Name: name.Name}, OpPos: s.OpPos, Op: op, Y: s.RHS})
	case op == syntax.STAR && !isSmall(s.RHS):
		s.RHS = withLimited(syntax.CIRCUMFLEX, s.OpPos, s.RHS)
	}
}

// rewriteBinary returns x, whose parts are rewritten, as it is to be.
func rewriteBinary(x *syntax.BinaryExpr) syntax.Expr {
	switch {
	case x.Op == syntax.PERCENT:
		return callOf(moduloName, x.OpPos, x.X, x.Y)
	case x.Op == syntax.LTLT, x.Op == syntax.STAR && !isSmall(x.X) && !isSmall(x.Y):
		return withLimited(syntax.PIPE, x.OpPos, x)
	}
	return x
}

// isSmall reports whether a product with x has not much more bits than its other factor.
func isSmall(x syntax.Expr) bool {
	literal, ok := unparen(x).(*syntax.Literal)
	if !ok {
		return false
	}
	_, large := literal.Value.(*big.Int)
	return !large
}

func withLimited(op syntax.Token, at syntax.Position, x syntax.Expr) syntax.Expr {
	return &syntax.BinaryExpr{X: &syntax.Ident{NamePos: at, Name: limitedName}, OpPos: at, Op: op, Y: x}
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
		return rewriteBinary(x)
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
				rewriteTarget(c.Vars)
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
