package rig

import (
	"context"
	"strings"
)

// gitRoot holds the bare repositories of a GitServer, gitWork the trees they
// are filled from.
const (
	gitRoot = Home + "/git"
	gitWork = Home + "/git-work"
)

// GitServer serves git repositories over HTTP inside the machine.
type GitServer struct {
	m *Machine
	// URL is the server's, such as "http://127.0.0.1:40123". A repository's is
	// URL + "/" + NAME + ".git".
	URL string
	// Unit is the server itself; its journal names each request.
	Unit *RunningUnit
}

// GitServer starts a git server. Each of auth is "/PREFIX=USER:PASSWORD": the
// repositories below that path ask for basic authentication.
func (m *Machine) GitServer(ctx context.Context, auth ...string) *GitServer {
	m.t.Helper()
	m.BuildPrograms(ctx, "./e2e/githttp")
	m.Must(ctx, Opts{}, "mkdir", "-p", gitRoot, gitWork)
	command := []string{"githttp", "-root", gitRoot}
	for _, guard := range auth {
		command = append(command, "-auth", guard)
	}
	unit := m.StartUnit(ctx, Unit{
		Name:       "githttp",
		Command:    command,
		Properties: []string{"User=" + User},
		Ready:      "READY ",
	})
	return &GitServer{m: m, URL: unit.ReadyLine, Unit: unit}
}

// Commit makes these files, and no others, the tip of a branch of a repository,
// both of which it makes when they are not there, and returns the new commit.
// The repository's name may have directories in it. Files are given as in
// [Machine.WriteTree].
func (g *GitServer) Commit(ctx context.Context, repository, branch string, files map[string]string) string {
	g.m.t.Helper()
	bare, tree := gitRoot+"/"+repository+".git", gitWork+"/"+repository
	g.m.Must(ctx, Opts{}, "sh", "-ceu", `
		bare=$1 tree=$2 branch=$3
		[ -d "$bare" ] || git init --quiet --bare --initial-branch=main "$bare"
		[ -d "$tree" ] || git clone --quiet "$bare" "$tree"
		cd "$tree"
		git checkout --quiet "$branch" 2>/dev/null || git checkout --quiet --orphan "$branch"
		git rm --quiet -r --force --ignore-unmatch .
	`, "sh", bare, tree, branch)
	g.m.WriteTree(ctx, tree, files)
	return g.git(ctx, tree, `
		git add --all
		git commit --quiet --allow-empty --message="rig"
		git push --quiet origin "HEAD:refs/heads/$1"
		git rev-parse HEAD
	`, branch)
}

// Tag gives a commit of a repository a name.
func (g *GitServer) Tag(ctx context.Context, repository, tag, commit string) {
	g.m.t.Helper()
	g.git(ctx, gitRoot+"/"+repository+".git", `git tag --force "$1" "$2"`, tag, commit)
}

// git runs a script of git commands in a directory.
func (g *GitServer) git(ctx context.Context, directory, script string, args ...string) string {
	g.m.t.Helper()
	identity := []string{
		"GIT_AUTHOR_NAME=rig", "GIT_AUTHOR_EMAIL=rig@example.org",
		"GIT_COMMITTER_NAME=rig", "GIT_COMMITTER_EMAIL=rig@example.org",
	}
	output := g.m.Must(ctx, Opts{Dir: directory, Env: identity}, "sh", append([]string{"-ceu", script, "sh"}, args...)...)
	return strings.TrimSpace(output)
}
