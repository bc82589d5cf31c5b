// Seals what somebody types to the vault's public key, before it leaves the browser: HPKE (RFC 9180), base mode, with
// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, out of what WebCrypto has. The field that is typed into has
// no name, so that no browser ever sends it, with or without this script.
"use strict";
(() => {
  const text = new TextEncoder();
  const version = text.encode("HPKE-v1");
  const kemSuite = bytes(text.encode("KEM"), [0x00, 0x20]);
  const suite = bytes(text.encode("HPKE"), [0x00, 0x20, 0x00, 0x01, 0x00, 0x02]);
  const nothing = new Uint8Array(0);

  function bytes(...parts) {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  const toBase64URL = (raw) =>
    btoa(String.fromCharCode(...raw)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const fromBase64URL = (encoded) =>
    Uint8Array.from(atob(encoded.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

  async function hmac(key, message) {
    // WebCrypto takes no empty key; one of zeros is the same (RFC 5869).
    const raw = key.length > 0 ? key : new Uint8Array(32);
    const imported = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign("HMAC", imported, message));
  }

  const extract = (id, salt, label, input) => hmac(salt, bytes(version, id, text.encode(label), input));

  // One block of HKDF is 32 bytes, and nothing here is longer.
  async function expand(id, key, label, info, length) {
    const block = await hmac(key, bytes([0x00, length], version, id, text.encode(label), info, [0x01]));
    return block.slice(0, length);
  }

  // The ephemeral pair is given only to compare with the RFC's vectors.
  async function seal(recipient, info, aad, plaintext, ephemeral) {
    const pair = ephemeral ?? (await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]));
    const theirs = await crypto.subtle.importKey("raw", recipient, { name: "X25519" }, false, []);
    const encapsulated = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    const dh = new Uint8Array(
      await crypto.subtle.deriveBits({ name: "X25519", public: theirs }, pair.privateKey, 256));
    const early = await extract(kemSuite, nothing, "eae_prk", dh);
    const shared = await expand(kemSuite, early, "shared_secret", bytes(encapsulated, recipient), 32);
    const context = bytes(
      [0x00], await extract(suite, nothing, "psk_id_hash", nothing), await extract(suite, nothing, "info_hash", info));
    const secret = await extract(suite, shared, "secret", nothing);
    const key = await expand(suite, secret, "key", context, 32);
    const nonce = await expand(suite, secret, "base_nonce", context, 12);
    const aes = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
    const ciphertext = new Uint8Array(
      await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, aes, plaintext));
    return { encapsulated, ciphertext };
  }

  async function isAble() {
    try {
      await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
      return true;
    } catch {
      return false;
    }
  }

  function say(form, message) {
    const place = form.querySelector("[data-seal-problem]");
    place.textContent = message;
    place.hidden = message === "";
  }

  async function send(form) {
    const field = form.querySelector("[data-seal]");
    const value = field.value.trim();
    if (value === "") {
      say(form, "There is no value yet.");
      field.focus();
      return;
    }
    const { sealKey, sealName, sealInfo, sealAad } = form.dataset;
    try {
      const sealed = await seal(
        fromBase64URL(sealKey), text.encode(sealInfo), text.encode(sealAad), text.encode(value));
      const both = toBase64URL(bytes(sealed.encapsulated, sealed.ciphertext));
      form.querySelector("[name=envelope]").value = `aw1.${sealName}.${both}`;
    } catch {
      say(form, "This browser could not seal the value. Nothing was sent.");
      return;
    }
    field.value = "";
    form.submit();
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-seal-key]")) return;
    event.preventDefault();
    say(event.target, "");
    send(event.target);
  });

  isAble().then((able) => {
    for (const form of document.querySelectorAll("form[data-seal-key]")) {
      if (!able) continue;
      form.querySelector("[data-seal-missing]").hidden = true;
      for (const part of form.querySelectorAll("[data-seal-part]")) part.hidden = false;
      form.querySelector("[data-seal]").disabled = false;
      form.querySelector("button[type=submit]").disabled = false;
      form.dataset.sealReady = "yes";
    }
  });

  globalThis.awSeal = seal;
})();
