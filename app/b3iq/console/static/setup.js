// Claims the node with the setup link's token, or recovers its owner with a recovery link's.
//
// The token rides in the link's fragment, which a browser never sends anywhere. It is
// taken out of the address bar at once, kept in this page's memory only, and leaves it
// in the body of one POST to this node.
"use strict";

(() => {
  const takeToken = () => {
    const fragment = window.location.hash;
    if (!fragment) return "";
    window.history.replaceState(null, "", window.location.pathname);
    return tokenIn(fragment);
  };

  const tokenIn = (text) => {
    const found = /(?:^|[#&])token=([^&\s]+)/.exec(text.trim());
    return found ? decodeURIComponent(found[1]) : "";
  };

  let token = takeToken();
  const form = document.querySelector("#setup-form");
  if (!form) return; // the node is claimed: the page only says so

  const linkField = form.querySelector("#field-token");
  const inputs = {
    token: form.querySelector("#setup-link"),
    owner_name: form.querySelector("#owner-name"),
    password: form.querySelector("#password"),
    password_again: form.querySelector("#password-again"),
  };
  // The field that a refusal is about, by the code of the refusal.
  const FIELD_OF = { unauthorized: "token", invalid_name: "owner_name", weak_password: "password" };
  const summary = document.querySelector("#setup-error");
  const strength = document.querySelector("#password-strength");
  const button = form.querySelector("button[type=submit]");
  const shortest = Number(inputs.password.minLength);

  const showLinkField = (shown) => {
    linkField.hidden = !shown;
    inputs.token.required = shown;
  };

  const say = (name, message) => {
    const input = inputs[name];
    const place = document.getElementById(input.id + "-error");
    place.textContent = message;
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    if (message && name === "password") strength.textContent = "";
  };

  const complain = (message) => {
    summary.textContent = message;
    summary.focus();
  };

  const clearErrors = () => {
    summary.textContent = "";
    Object.keys(inputs).forEach((name) => say(name, ""));
  };

  const describe = (password) => {
    const missing = shortest - [...password].length;
    if (!password) return "";
    if (missing > 0) return `${missing} more ${missing === 1 ? "character" : "characters"} needed.`;
    if (new Set(password).size < 6) return "Long enough, but repetitive: easy to guess.";
    return [...password].length < 16 ? "Long enough. Longer is stronger." : "Good: long.";
  };

  const faults = () => {
    const found = [];
    if (!linkField.hidden && !tokenIn(inputs.token.value)) {
      found.push(["token", "Paste the whole link, from http:// to its end."]);
    }
    if (!inputs.owner_name.value.trim()) found.push(["owner_name", "Choose a name."]);
    if ([...inputs.password.value].length < shortest) {
      found.push(["password", `Use at least ${shortest} characters.`]);
    }
    if (inputs.password.value !== inputs.password_again.value) {
      found.push(["password_again", "The two passwords are not the same."]);
    }
    return found;
  };

  const showServerError = (error) => {
    const field = FIELD_OF[error.code];
    const message = error.detail || error.title || "The node refused and gave no reason.";
    if (field === "token") {
      token = "";
      showLinkField(true);
    }
    if (field) {
      say(field, message);
      inputs[field].focus();
    } else {
      complain(message);
    }
  };

  const claim = async () => {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      credentials: "same-origin",
      referrerPolicy: "no-referrer",
      body: JSON.stringify({
        token: linkField.hidden ? token : tokenIn(inputs.token.value),
        owner_name: inputs.owner_name.value.trim(),
        password: inputs.password.value,
      }),
    });
    if (answer.ok) {
      window.location.replace("/console/");
    } else if (answer.status === 404) {
      window.location.reload(); // somebody was faster: the page says so
    } else {
      const body = await answer.json().catch(() => ({}));
      showServerError(body.error || {});
    }
    return answer.ok;
  };

  const submit = async (event) => {
    event.preventDefault();
    clearErrors();
    const found = faults();
    found.forEach(([name, message]) => say(name, message));
    if (found.length) {
      inputs[found[0][0]].focus();
      return;
    }
    button.disabled = true;
    let claimed = false;
    try {
      claimed = await claim();
    } catch {
      complain("The node did not answer. Check that it runs, then try again.");
    } finally {
      button.disabled = claimed;
    }
  };

  form.addEventListener("submit", submit);
  inputs.password.addEventListener("input", () => {
    strength.textContent = describe(inputs.password.value);
  });
  // A second link opened in this tab changes the fragment without a reload.
  window.addEventListener("hashchange", () => {
    const fresh = takeToken();
    if (!fresh) return;
    token = fresh;
    clearErrors();
    showLinkField(false);
  });

  document.querySelector("#needs-script").hidden = true;
  showLinkField(!token);
  button.disabled = false;
})();
