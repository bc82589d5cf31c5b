import Access
import Basics
import Client
import Credentials
import Deployment
import Evidence
import Fleet
import Foundation
import Onboarding
import Store
import Synthetic
import Testing
import Web

/// Onboarding as people do it: operators on the console, customers by their links, each in a real browser.
@Suite("Onboarding, in Chromium", .serialized, .timeLimit(.minutes(5)))
struct OnboardingPagesTests {
  private static let surface = CredentialSurface.openAI
  private static let page = "/orgs/acme/credentials/\(surface.rawValue)"

  /// Signs in an owner of that name.
  static func signIn(_ browser: Browser, _ scene: Scene, _ name: String = "anna") async throws {
    let link = try await scene.control.access.signInLink(for: Slug(name), reason: "setup")
    try await browser.open(SignInAddress.link(link.secret, publicURL: scene.running.url))
    try await browser.click("main button[type=submit]")
    try await browser.until("You have no password yet")
  }

  private static func open(_ browser: Browser, _ scene: Scene, _ path: String) async throws {
    try await browser.open(scene.running.url + path)
  }

  /// Seals a value in the form of the page, and sends it.
  static func enter(_ browser: Browser, _ value: String) async throws {
    try await sealable(browser)
    try await browser.type(value, into: "input[data-seal]")
    try await browser.click("form[data-seal-key] button[type=submit]")
  }

  /// The script has found that this browser can seal.
  private static func sealable(_ browser: Browser) async throws {
    let ready = "return document.querySelector('form[data-seal-key]')?.dataset.sealReady ?? ''"
    while try await browser.run(ready).stringValue != "yes" { await Task.yield() }
  }

  private static func fixture(_ name: String) throws -> String { try FixtureValue.make(surface, name: name) }

  // MARK: - From nothing to verified

  @Test("by the browser alone: from an Org that is not there to verified, its state and who acts on every page")
  func thread() async throws {
    try await Scene.with { scene in
      try await Browser.with { browser in
        try await Self.signIn(browser, scene)
        try await Self.open(browser, scene, "/orgs")
        try await browser.type("demo-org", into: "input[name=slug]")
        try await browser.click("form[action='/orgs'][method=post] button")
        try await browser.until("demo-org")
        try await browser.click("a[href='/orgs/demo-org']")
        try await browser.until("not begun")
        try await browser.click("a[href='/orgs/demo-org/onboarding/contact'].button")
        // What is refused comes back as it was filled in.
        try await browser.type("Ada Lovelace", into: "input[name=name]")
        try await browser.run("document.querySelector('input[name=email]').type = 'text'")
        try await browser.type("nobody", into: "input[name=email]")
        try await browser.click("main form button[type=submit]")
        try await browser.until("That is no e-mail address of a contact.")
        #expect(
          try await browser.run("return document.querySelector('[name=name]').value").stringValue == "Ada Lovelace")
        try await browser.run("document.querySelector('input[name=email]').value = ''")
        try await browser.type("ada@example.com", into: "input[name=email]")
        try await browser.click("main form button[type=submit]")
        try await browser.until("Name of the Instance")
        #expect(try await browser.text("#state").contains("draft"))
        try await browser.type("demo-main", into: "input[name=slug]")
        try await browser.click("main form button[type=submit]")
        try await browser.until("OpenAI API key")
        try await browser.click("input[name='surface:\(Self.surface.rawValue)']")
        try await browser.click("main form button[type=submit]")
        try await browser.until("credentials pending")
        #expect(try await browser.text("#state").contains("Who acts: Org's contact"))
        try await credential(browser, "demo-org")
        try await Self.open(browser, scene, "/orgs/demo-org")
        try await browser.until("ready to provision")
        try await browser.click("#first-run button")
        try await browser.until("verified", in: "#state")
        try await browser.until("passed", in: "#first-run")
        for word in ["demo-main", "current", "onboarding.state-changed", "valid"] {
          #expect(try await browser.text().contains(word), "\(word)")
        }
        let view = try await scene.client.send(.get, "/orgs/demo-org/onboarding", as: OnboardingView.self)
        #expect(view.state == .verified)
        try await hold(browser)
        try await list(browser, scene)
        let complaints = try await browser.complaints()
        #expect(complaints.filter { !$0.contains(/status of 4(00|09)/) } == [])
      }
    }
  }

  /// A fixture is made, sealed, refused when it is of another surface, and validated.
  private func credential(_ browser: Browser, _ org: String) async throws {
    try await browser.click("#missing a[href$='\(Self.surface.rawValue)']")
    try await browser.until("There is no OpenAI API key yet.")
    try await browser.unfold("#make-fixture")
    try await browser.type("demo", into: "input[name=fixture]")
    try await browser.click("#make-fixture button")
    try await browser.until("aw-fixture-demo")
    let fixture = try await browser.text("#fixture")
    try await Self.enter(browser, try FixtureValue.make(.slack, name: "demo"))
    try await browser.until("fixture of Slack bot token, not of OpenAI API key")
    #expect(try await browser.run("return document.querySelector('[data-seal]').value").stringValue == "")
    try await Self.enter(browser, fixture)
    try await browser.until("present")
    try await browser.click("form[action$='/validate'] button")
    try await browser.until("the vendor let it in and refused a corrupted copy")
  }

  private func hold(_ browser: Browser) async throws {
    try await browser.type("the contract is open", into: "#hold input[name=reason]")
    try await browser.click("#hold button")
    try await browser.until("the contract is open", in: "#state")
    #expect(try await browser.text("#state").contains("blocked"))
    try await browser.click("#hold button")
    // While it is held the page says elsewhere that it is verified afterwards.
    try await browser.until("verified", in: "#state .status")
  }

  private func list(_ browser: Browser, _ scene: Scene) async throws {
    try await browser.press("g", "n")
    try await browser.until("verified", in: "#onboardings")
    #expect(try await browser.text("#onboardings").contains("nobody"))
  }

  // MARK: - Two operators

  @Test("two operators change one record: the second sees both edits, and nothing of either is lost")
  func conflict() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await Browser.with { browser in
        try await Self.signIn(browser, scene)
        try await Self.open(browser, scene, "/orgs/acme/onboarding/contact")
        // While this one types, another one saves.
        let other: JSONValue = ["contact": ["name": "Grace Hopper", "email": "grace@example.com"]]
        _ = try await scene.client.send(.post, "/orgs/acme/onboarding", body: other)
        try await browser.type("Ada Lovelace", into: "input[name=name]")
        try await browser.type("ada@example.com", into: "input[name=email]")
        try await browser.click("main form button[type=submit]")
        try await browser.until("Both edits")
        let shown = try await browser.text("#conflict")
        for word in [
          "Ada Lovelace", "Grace Hopper", "ada@example.com", "grace@example.com",
          "somebody on the control plane's machine",
        ] {
          #expect(shown.contains(word), "\(shown)")
        }
        #expect(
          try await browser.run("return document.querySelector('[name=name]').value").stringValue == "Ada Lovelace")
        let kept = try await scene.client.send(.get, "/orgs/acme/onboarding", as: OnboardingView.self)
        #expect(kept.contact?.name == "Grace Hopper" && kept.version == 1)
        try await browser.click("main form button[type=submit]")
        try await browser.until("Name of the Instance")
        let over = try await scene.client.send(.get, "/orgs/acme/onboarding", as: OnboardingView.self)
        #expect(over.contact?.name == "Ada Lovelace" && over.version == 2)
        // Another value of a credential likewise.
        try await Self.open(browser, scene, Self.page)
        try await scene.setCredential()
        try await Self.enter(browser, try Self.fixture("mine"))
        try await browser.until("The credential to be replaced is version 0, but there is version 1")
      }
    }
  }

  // MARK: - A customer

  @Test("a customer sees who asks before anything is typed, gives a value once, and a second use freezes it")
  func intake() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await Browser.with { console in
        try await Self.signIn(console, scene)
        try await Self.open(console, scene, Self.page)
        try await console.run("document.querySelector('#ask [name=from]').value = ''")
        try await console.type("Anna of Example MSP", into: "#ask input[name=from]")
        try await console.click("#ask button")
        try await console.until("It works once.")
        let link = try await console.text(".once code")
        #expect(link.hasPrefix(scene.running.url + "/intake#"))
        try await Browser.with { customer in
          try await gives(customer, scene, link)
          // The second use.
          try await customer.open("about:blank")
          try await customer.open(link)
          try await customer.click("main button[type=submit]")
          try await customer.until("This link was used already")
          #expect(try await customer.text().contains("tell Anna of Example MSP now"))
        }
        try await Self.open(console, scene, Self.page)
        try await console.until("frozen")
        try await console.click("form[action$='/unfreeze'] button")
        try await console.until("present")
      }
    }
  }

  private func gives(_ customer: Browser, _ scene: Scene, _ link: String) async throws {
    try await customer.open(link)
    #expect(try await customer.run("return location.hash").stringValue == "")
    try await customer.click("main button[type=submit]")
    try await customer.until("Who asks")
    for word in ["Anna of Example MSP", "acme", "OpenAI API key", "For the", "sealed", "Until"] where word != "For the"
    {
      #expect(try await customer.text().contains(word), "\(word)")
    }
    let field = "const f = document.querySelector('[data-seal]'); return"
    #expect(try await customer.run("\(field) f.value + '|' + f.name + '|' + f.autocomplete").stringValue == "||off")
    // A value of the wrong shape does not use the link up, and is not said back.
    try await Self.enter(customer, "not-a-key-at-all")
    try await customer.until("This is not the test value that is asked for.")
    // A customer has no command line, and no words of AW's own.
    let said = try await customer.text()
    #expect(!said.contains("aw credential") && !said.contains("fixture"))
    let page = try await customer.run("return document.documentElement.outerHTML").stringValue
    #expect(page?.contains("not-a-key") == false)
    try await Self.enter(customer, try Self.fixture("customer"))
    try await customer.until("The credential is in the vault.")
    #expect(try await customer.path == "/intake/thanks")
    let view = try await scene.client.send(
      .get, "/orgs/acme/credentials/\(Self.surface.rawValue)", as: CredentialView.self)
    #expect(view.version == 1 && view.setBy == "system/intake-link" && view.status == .present)
  }

  @Test("where a gate allows it a customer gives a real value, with what belongs to it; elsewhere no link is made")
  func gatedIntake() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      let ada = try await Gating(in: scene)
      let path = "/orgs/acme/credentials/\(CredentialSurface.sms.rawValue)"
      let ask: JSONValue = ["class": "real", "from": "Anna of Example MSP"]
      await #expect(throws: AWError(.credentialClassRefused, "", next: "")) {
        _ = try await scene.client.send(.post, path + "/request", body: ask)
      }
      try await ada.open([.sms])
      let made = try await scene.client.send(.post, path + "/request", body: ask)
      let link = try #require(made["url"]?.stringValue, "\(made)")
      let (value, sid) = (Hex.encode([UInt8].random(count: 16)), "AC" + Hex.encode([UInt8].random(count: 16)))
      try await Browser.with { customer in
        try await customer.open(link)
        try await customer.click("main button[type=submit]")
        try await customer.until("Who asks")
        #expect(try await !customer.text().contains("test value"))
        try await customer.looks("a real value is asked")
        let field = "input[name='setting:accountSid']"
        try await customer.type("AC1", into: field)
        try await Self.enter(customer, value)
        try await customer.until("is no account SID")
        // What is no secret is still there.
        #expect(try await customer.run("return document.querySelector(\"\(field)\").value").stringValue == "AC1")
        try await customer.run("document.querySelector(\"\(field)\").value = ''")
        try await customer.type(sid, into: field)
        try await Self.enter(customer, value)
        try await customer.until("The credential is in the vault.")
      }
      scene.model.desk.admit(value, as: "acme")
      _ = try await scene.client.send(.post, path + "/validate")
      let view = try await scene.client.send(.get, path, as: CredentialView.self)
      #expect(view.class == .real && view.settings == ["accountSid": sid])
      #expect(view.status == .valid && view.lastValidated?.identity == sid && scene.model.desk.strays == 0)
    }
  }

  @Test("a link that is late says so and what next; one that is made up likewise")
  func late() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      let answer = try await Programs.run([
        "credential", "request", "acme", Self.surface.rawValue, "--from", "Anna", "--for", "your assistant", "--json",
        "--context", scene.directory + "/control/context.json",
      ])
      let url = try #require(answer.json?[0]?["url"]?.stringValue, "\(answer)")
      try await scene.control.store.write { _ = try $0.run("UPDATE credential_intake SET expires_at = 1") }
      try await Browser.with { browser in
        try await browser.open(url)
        try await browser.click("main button[type=submit]")
        try await browser.until("This link was not used in time")
        #expect(try await browser.text().contains("Ask Anna for a new one."))
        try await browser.open("about:blank")
        try await browser.open(scene.running.url + "/intake#made-up")
        try await browser.click("main button[type=submit]")
        try await browser.until("not one of this deployment")
      }
    }
  }

  // MARK: - Looks

  @Test("every page of onboarding fits a desk and a phone, light and dark, and names all that can be filled in")
  func looks() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      let begun: JSONValue = [
        "contact": ["name": "Ada Lovelace", "email": "ada@example.com"],
        "instance": ["slug": "acme-main", "runtime": "process"],
        "surfaces": [.string(Self.surface.rawValue), "channels.slack.botToken"],
      ]
      _ = try await scene.client.send(.post, "/orgs/acme/onboarding", body: begun)
      let made = try await scene.client.send(
        .post, "/orgs/acme/credentials/channels.slack.botToken/request",
        body: ["from": "Anna of Example MSP", "purpose": "Your assistant"])
      let link = try #require(made["url"]?.stringValue, "\(made)")
      try await Browser.with { browser in
        try await Self.signIn(browser, scene)
        let (home, url) = ("/orgs/acme", scene.running.url)
        for page in [
          "/onboarding", home, "\(home)/onboarding/contact", "\(home)/onboarding/instance",
          "\(home)/onboarding/surfaces", Self.page, "\(home)/credentials/\(CredentialSurface.sms.rawValue)",
        ] { #expect(try await browser.looks(page, opening: url + page).count == 4, "\(page)") }
        _ = try await scene.client.send(
          .post, "/orgs/acme/onboarding/hold", body: ["reason": "the contract is not signed"])
        try await browser.looks("an Org that is held", opening: url + home)
        // Of what was refused, and of what was set.
        try await browser.open(url + Self.page)
        try await Self.enter(browser, "not-a-key-at-all")
        try await browser.until("does not have the form of a fixture")
        try await browser.looks("a value that was refused")
        try await scene.setCredential()
        try await browser.looks("a credential", opening: url + Self.page)
        try await scene.setCredential(.slackSigning)
        try await browser.looks(
          "a credential of which only the form is known",
          opening: url + "\(home)/credentials/\(CredentialSurface.slackSigning.rawValue)")
        try await browser.click("#ask button")
        try await browser.until("It works once.")
        try await browser.looks("a link that was made")
      }
      try await Browser.with { customer in
        try await customer.open(link)
        try await customer.looks("a link that was opened")
        try await customer.click("main button[type=submit]")
        try await customer.until("Who asks")
        try await customer.looks("what is asked")
        try await Self.enter(customer, try FixtureValue.make(.slack, name: "customer"))
        try await customer.until("The credential is in the vault.")
        try await customer.looks("thanks")
        try await customer.open("about:blank")
        try await customer.open(link)
        try await customer.click("main button[type=submit]")
        try await customer.until("This link was used already")
        try await customer.looks("a link that was used")
        try await late(customer, scene)
      }
    }
  }

  private func late(_ customer: Browser, _ scene: Scene) async throws {
    let made = try await scene.client.send(
      .post, "/orgs/acme/credentials/channels.discord.token/request", body: ["from": "Anna of Example MSP"])
    try await scene.control.store.write { _ = try $0.run("UPDATE credential_intake SET expires_at = 1") }
    try await customer.open("about:blank")
    try await customer.open(try #require(made["url"]?.stringValue))
    try await customer.click("main button[type=submit]")
    try await customer.until("This link was not used in time")
    try await customer.looks("a link that is late")
  }

  // MARK: - Sealing

  @Test("the browser's HPKE is that of RFC 9180's vector for this suite, and the field has no name to be sent by")
  func sealing() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await Browser.with { browser in
        try await Self.signIn(browser, scene)
        try await Self.open(browser, scene, Self.page)
        try await Self.sealable(browser)
        let sealed = try await browser.run(Self.vector).stringValue
        #expect(
          sealed == "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
            + "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a")
        #expect(try await browser.run("return document.querySelector('[data-seal]').name").stringValue == "")
      }
    }
  }

  /// Mode 0, KEM 0x0020, KDF 0x0001, AEAD 0x0002 of the RFC's test-vectors.json: its first encryption, with its
  /// ephemeral key.
  private static let vector = """
    const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
    const hex = (raw) => [...raw].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const url = (raw) => btoa(String.fromCharCode(...raw)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const secret = bytes("179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11");
    const open = bytes("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256");
    const jwk = { kty: "OKP", crv: "X25519", x: url(open) };
    return (async () => {
      const publicKey = await crypto.subtle.importKey("raw", open, { name: "X25519" }, true, []);
      const privateKey = await crypto.subtle.importKey(
        "jwk", { ...jwk, d: url(secret) }, { name: "X25519" }, false, ["deriveBits"]);
      const sealed = await awSeal(
        bytes("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c"),
        bytes("4f6465206f6e2061204772656369616e2055726e"), bytes("436f756e742d30"),
        bytes("4265617574792069732074727574682c20747275746820626561757479"), { publicKey, privateKey });
      return hex(sealed.encapsulated) + hex(sealed.ciphertext);
    })();
    """
}
