// The sign-in page: exchanges the link's token for a session cookie, then shows
// whose account it is. The token leaves the address bar before anything else, so
// that it stays in no history, bookmark or screenshot.

const token = new URLSearchParams(location.search).get("token");
if (token !== null) history.replaceState(null, "", location.pathname);

const byId = (id) => document.getElementById(id);

async function call(method, path, headers = {}) {
  const res = await fetch(path, { method, headers, credentials: "same-origin" });
  const body = await res.json();
  if (!body.success) throw body.error;
  return body.data;
}

function show(status, section) {
  byId("status").textContent = status;
  byId("account").hidden = section !== "account";
  byId("signed-out").hidden = section !== "signed-out";
}

async function showAccount() {
  const user = await call("GET", "/api/user");
  const { secrets } = await call("GET", "/api/secrets");
  byId("email").textContent = user.email;
  byId("tailnet").textContent = user.tailnet;
  byId("uuid").textContent = user.user_uuid;
  byId("secrets").textContent = secrets.length === 0 ? "none yet" : secrets.map((s) => s.name).join(", ");
  show(`You are signed in as ${user.display_name ?? user.email}.`, "account");
}

async function signOut() {
  const { sessions } = await call("GET", "/api/sessions");
  const current = sessions.find((s) => s.current);
  if (current) await call("DELETE", `/api/sessions/${current.id}`);
  show("You are signed out.", "signed-out");
}

function explain(error) {
  if (typeof error?.message !== "string" || !error.code) return "The server did not answer. Is it running? Reload to try again.";
  return error.hint ? `${error.message}. ${error.hint}.` : `${error.message}.`;
}

byId("sign-out").addEventListener("click", () => {
  signOut().catch((error) => show(explain(error), "account"));
});

try {
  if (token !== null) {
    await call("POST", "/api/auth/validate", { Authorization: `Bearer ${token}` });
    history.replaceState(null, "", "/");
  }
  await showAccount();
} catch (error) {
  const nobody = token === null && error?.code === "invalid_token";
  show(nobody ? "You are not signed in." : explain(error), "signed-out");
}
