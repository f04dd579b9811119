package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/gitrepo"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/safefile"
)

// request fetches the release's files and reads them, for the Podman of which
// version tells, once that is known.
func (a *app) request(ctx context.Context, name leger.ReleaseName, in install, version func() quadlet.Version) (deploy.Request, error) {
	src, from, err := a.source(ctx, name, in)
	if err != nil {
		return deploy.Request{}, err
	}
	if err := in.complete(&from); err != nil {
		return deploy.Request{}, err
	}
	req := deploy.Request{Release: name, Source: from}
	releaseData, err := a.releaseData()
	if err != nil {
		return req, err
	}
	data := deploy.DataDir(releaseData, name)
	if src.Dir != "" && !gitrepo.IsRepository(src.Dir) {
		if in.commit != "" || from.AllowedSigners != "" {
			return req, leger.Invalid("commit", "%s is not the top directory of a Git repository, so its files are taken as they are, without a commit", src.Dir).
				WithHint("name the top directory as --source, and the directory in it as --path")
		}
		req.Set, err = a.readDir(src, version(), data)
		return req, err
	}
	git, err := a.git(ctx, from)
	if err != nil {
		return req, err
	}
	a.say("fetching %s", from.URL)
	if from.TokenOrigin != "" {
		a.warn("the token in the secret %s was given for %s and is not sent to %s", from.TokenSecret, from.TokenOrigin, from.URL)
	}
	tree, err := git.Fetch(ctx, src)
	if err != nil {
		return req, withheldToken(from, name, err)
	}
	req.Source.Commit, req.Source.SignedBy = tree.Commit, tree.SignedBy
	req.Set = quadlet.LoadFilesWith(tree.Files, quadlet.Options{Podman: version(), Executable: tree.Executable, Data: data})
	if tree.SignedBy != "" {
		a.say("signed by %s", tree.SignedBy)
	}
	a.say("commit %s, %s", deploy.ShortCommit(tree.Commit), plural(len(req.Set.Files), "file"))
	return req, nil
}

// withheldToken says, of a repository that wants credentials, which token it was
// not given, and how to give it.
func withheldToken(from deploy.Source, name leger.ReleaseName, err error) error {
	if from.TokenOrigin == "" || !errors.Is(err, leger.ErrForbidden) {
		return err
	}
	e := leger.Wrap(leger.CodeForbidden, err, "%s wants credentials, and the token in the secret %s was given for %s alone", from.URL, from.TokenSecret, from.TokenOrigin)
	e.Field = "git_url"
	return e.WithHint("if you trust the new host with a token, name its secret: leger deploy update %s --git-token-secret NAME", name)
}

// complete notes how the repository is reached and what it must be signed with.
func (in install) complete(from *deploy.Source) error {
	from.TokenSecret = in.tokenSecret
	if in.tokenSecret != "" && in.tokenOrigin != gitrepo.Origin(from.URL) {
		from.TokenOrigin = in.tokenOrigin // empty: given now, for this source
	}
	if in.allowedSigners == "" {
		return nil
	}
	abs, err := filepath.Abs(in.allowedSigners)
	if err != nil {
		return leger.Wrap(leger.CodeInvalid, err, "find out the whole path of %s", in.allowedSigners)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return leger.WrapFile(leger.CodeInvalid, err, "read the allowed signers in %s", abs)
	}
	if err := safefile.CheckInfo(abs, info, safefile.Decides); err != nil {
		return err
	}
	from.AllowedSigners = abs
	return nil
}

// source finds out where the files are: on the server, or what --source names.
func (a *app) source(ctx context.Context, name leger.ReleaseName, in install) (gitrepo.Source, deploy.Source, error) {
	if in.source == "" {
		_, c, err := a.signedIn()
		if err != nil {
			return gitrepo.Source{}, deploy.Source{}, err
		}
		r, err := c.ReleaseByName(ctx, name)
		if err != nil {
			return gitrepo.Source{}, deploy.Source{}, err
		}
		return gitrepo.Source{URL: r.GitURL, Ref: r.GitBranch, Commit: in.commit, Path: r.GitPath},
			deploy.Source{ReleaseID: r.ID, ReleaseVersion: r.Version, URL: r.GitURL.String(), Ref: r.GitBranch.String(), Path: r.GitPath.String()}, nil
	}
	src := gitrepo.Source{Commit: in.commit}
	var err error
	if in.branch != "" {
		if src.Ref, err = leger.ParseGitRef(in.branch); err != nil {
			return src, deploy.Source{}, err
		}
	}
	if src.Path, err = leger.ParseGitPath(in.path); err != nil {
		return src, deploy.Source{}, err
	}
	if info, statErr := os.Stat(in.source); statErr == nil && info.IsDir() {
		if src.Dir, err = filepath.Abs(in.source); err != nil {
			return src, deploy.Source{}, leger.Wrap(leger.CodeInvalid, err, "find out the whole path of %s", in.source)
		}
	} else if src.URL, err = leger.ParseGitURL(in.source); err != nil {
		return src, deploy.Source{}, err
	}
	return src, deploy.Source{URL: src.URL.String() + src.Dir, Ref: src.Ref.String(), Path: src.Path.String()}, nil
}

// readDir reads quadlets that are in no repository, for a release with the data
// directory.
func (a *app) readDir(src gitrepo.Source, version quadlet.Version, data string) (*quadlet.Set, error) {
	root, err := os.OpenRoot(src.Dir)
	if err != nil {
		return nil, leger.WrapFile(leger.CodeInvalid, err, "open %s", src.Dir)
	}
	defer func() { _ = root.Close() }()
	if src.Path.String() != "" {
		sub, err := root.OpenRoot(src.Path.String())
		if err != nil {
			return nil, leger.WrapFile(leger.CodeNotFound, err, "open %s in %s", src.Path, src.Dir)
		}
		defer func() { _ = sub.Close() }()
		root = sub
	}
	a.say("reading the files in %s as they are, not a commit of them", src.Dir)
	return quadlet.Load(root.FS(), quadlet.Options{Podman: version, Data: data})
}
