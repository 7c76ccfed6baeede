// Asks the browser for a passkey: to log in, to prove who is logged in, or to make a new one.
//
// The one button of the page says which. What the passkey answers goes into a hidden field of
// the button's form, which is then sent like any other form; the node alone judges it.
"use strict";

(() => {
  const button = document.querySelector("#passkey-button");
  const answer = document.querySelector("#passkey-answer");
  const said = document.querySelector("#passkey-said");
  const form = button.form;
  // Fields that the passkey makes unnecessary.
  const instead = [...form.querySelectorAll("[data-passkey-instead]")];

  const bytesOf = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

  const textOf = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");

  const named = (list) => (list || []).map((item) => ({ ...item, id: bytesOf(item.id) }));

  const make = async (options) => {
    const made = await navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: bytesOf(options.challenge),
        user: { ...options.user, id: bytesOf(options.user.id) },
        excludeCredentials: named(options.excludeCredentials),
      },
    });
    return {
      id: textOf(made.rawId),
      client_data: textOf(made.response.clientDataJSON),
      attestation_object: textOf(made.response.attestationObject),
    };
  };

  const show = async (options) => {
    const shown = await navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: bytesOf(options.challenge),
        allowCredentials: named(options.allowCredentials),
      },
    });
    const { userHandle } = shown.response;
    return {
      id: textOf(shown.rawId),
      client_data: textOf(shown.response.clientDataJSON),
      authenticator_data: textOf(shown.response.authenticatorData),
      signature: textOf(shown.response.signature),
      user_handle: userHandle && userHandle.byteLength ? textOf(userHandle) : null,
    };
  };

  const askNode = async (address) => {
    const token = form.elements.csrf_token;
    const response = await fetch(address, {
      method: "POST",
      headers: { accept: "application/json", ...(token ? { "x-csrf-token": token.value } : {}) },
      credentials: "same-origin",
    });
    const body = await response.json();
    if (!response.ok) throw new Error(body.error.detail);
    return body;
  };

  const WORDS = {
    NotAllowedError:
      "No passkey was used: it was called off, took too long, or the browser does not trust the certificate of this page.",
    InvalidStateError: "There is a passkey of this node on it already.",
    NotSupportedError: "This authenticator cannot make a passkey that the node accepts.",
    SecurityError: "The browser uses no passkeys under this address.",
    TypeError: "The node did not answer. Check that it runs, then try again.",
  };

  const usePasskey = async () => {
    const { options, challenge } = button.dataset;
    const result = options ? await make(JSON.parse(options)) : await show(await askNode(challenge));
    answer.value = JSON.stringify(result);
    answer.disabled = false;
    form.submit();
  };

  button.addEventListener("click", async () => {
    said.textContent = "";
    instead.forEach((field) => { field.disabled = true; });
    try {
      if (form.reportValidity()) {
        button.disabled = true;
        await usePasskey();
        return; // the form is on its way, without the other fields
      }
    } catch (error) {
      said.textContent = WORDS[error.name] || error.message;
    }
    button.disabled = false;
    instead.forEach((field) => { field.disabled = false; });
  });

  // Whoever comes back to this page may try again.
  window.addEventListener("pageshow", () => {
    instead.forEach((field) => { field.disabled = false; });
    answer.disabled = true;
    button.disabled = !window.PublicKeyCredential;
  });

  document.querySelector("#passkey-needs-script").hidden = true;
  if (!window.PublicKeyCredential) said.textContent = "This browser has no passkeys.";
})();
