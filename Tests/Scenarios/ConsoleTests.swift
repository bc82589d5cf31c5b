import Basics
import Foundation
import Testing

/// The console in a real browser, as an operator uses it.
@Suite("The console, in Chromium", .serialized, .timeLimit(.minutes(5)))
struct ConsoleTests {
  static let password = "four words that differ"

  @Test("an operator signs in, reads the fleet, follows an Instance live, adds a Host and reads the evidence")
  func tour() async throws {
    let folder = Programs.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let data = folder + "/d"
    try await LongRunning.with(try Programs.aw(), UpTests.arguments(data)) { up in
      let ready = try await up.document()
      let (url, link) = (try #require(ready["url"]?.stringValue), try #require(ready["signIn"]?.stringValue))
      try await Browser.with { browser in
        try await signIn(browser, link)
        try await fleet(browser, url)
        try await looks(browser, url)
        try await keyboard(browser, url)
        try await menu(browser, url)
        try await instance(browser, url, data)
        try await timeline(browser, url)
        try await path(browser, url, folder)
        try await newInstance(browser, url)
        try await orgs(browser, url)
        try await hosts(browser, url)
        try await evidence(browser, url)
        try await access(browser, url)
        // Forms with a taken name or a wrong key and the page of a removed Instance are refused on purpose.
        let complaints = try await browser.complaints()
        #expect(complaints.filter { !$0.contains(/status of 4(00|04|09)/) } == [])
      }
      try await up.end(SIGTERM)
    }
  }

  private func signIn(_ browser: Browser, _ link: String) async throws {
    try await browser.open(link)
    // The secret of the link is in the form and out of the address before anything is sent.
    #expect(try await browser.run("return location.hash").stringValue == "")
    try await browser.click("main button[type=submit]")
    try await browser.until("You have no password yet")
    try await browser.type(Self.password, into: "input[name=password]")
    try await browser.type(Self.password, into: "input[name=repeat]")
    try await browser.click("main button[type=submit]")
    try await browser.until("Instance")
    #expect(try await browser.path == "/")
    // A link that was used says so, and signs nobody in.
    try await browser.open(link)
    try await browser.run("location.reload()")
  }

  private func fleet(_ browser: Browser, _ url: String) async throws {
    try await browser.open(url + "/")
    let row = try await browser.text("#instances tbody tr")
    for word in ["current", "acme-main", "acme", "this-machine", "Every link of the chain passed."] {
      #expect(row.contains(word), "\(row)")
    }
    #expect(row.contains(/[0-9]+ s ago/), "every value has an age: \(row)")
    #expect(try await browser.text("#counts").contains("1 of 1 Hosts linked"))
    try await browser.type("beta", into: "#filter")
    try await browser.click(".filters button")
    try await browser.until("No Instance matches.")
    // The address says it all: counts lead on, and going back leads back.
    try await browser.open(url + "/?name=acme&host=this-machine&status=current&limit=25")
    try await browser.until("1 Instance, worst first.")
    #expect(try await browser.text("#counts").contains("1 current"))
    #expect(try await browser.run("return document.querySelector('#filter').value").stringValue == "acme")
  }

  /// Nothing sticks out at any width, and each look is another picture: what the browser paints follows the page.
  private func looks(_ browser: Browser, _ url: String) async throws {
    var pictures: Set<Data> = []
    let pages = [
      "/", "/instances/acme-main", "/instances/acme-main/timeline", "/instances/acme-main/timeline?window=7d",
      "/instances/acme-main/path", "/instances/acme-main/path?kind=ssh-forward",
      "/instances/acme-main/path?kind=cloudflared", "/hosts", "/hosts/this-machine", "/orgs", "/alerts",
      "/alerts/routing", "/alerts/silences", "/alerts/deliveries", "/evidence", "/access", "/instances/new",
      "/onboarding", "/orgs/acme",
    ]
    for page in pages { pictures.formUnion(try await browser.looks(page, opening: url + page)) }
    #expect(pictures.count == pages.count * 4)
  }

  private func keyboard(_ browser: Browser, _ url: String) async throws {
    try await browser.open(url + "/")
    try await browser.press("\u{E004}")
    #expect(try await browser.run("return document.activeElement.className").stringValue == "skip")
    try await browser.press("g", "h")
    try await browser.until("Add a Host")
    try await browser.press("g", "f")
    try await browser.until("acme-main")
    try await browser.press("/")
    #expect(try await browser.run("return document.activeElement.id").stringValue == "filter")
  }

  /// On a phone the rooms are behind a button that the keyboard opens, and that says whether it is open.
  private func menu(_ browser: Browser, _ url: String) async throws {
    let shown = "return document.querySelector('#rooms').checkVisibility()"
    try await browser.look(width: 390, height: 844, dark: false)
    try await browser.open(url + "/")
    #expect(try await browser.run(shown).boolValue == false)
    try await browser.run("document.querySelector('.menu').focus()")
    try await browser.press("\u{E007}")
    #expect(try await browser.run(shown).boolValue == true)
    // The next stop of the keyboard is the first room; Escape shuts the menu.
    try await browser.press("\u{E004}")
    #expect(try await browser.run("return document.activeElement.textContent").stringValue == "Fleet")
    try await browser.press("\u{E00C}")
    #expect(try await browser.run(shown).boolValue == false)
    try await browser.click(".menu")
    try await browser.click("#rooms a[href='/orgs']")
    try await browser.until("Add an Org")
    try await browser.look(width: 1_280, height: 800, dark: false)
    try await browser.open(url + "/")
    #expect(try await browser.run(shown).boolValue == true)
    #expect(try await browser.run("return document.querySelector('.menu').checkVisibility()").boolValue == false)
  }

  /// The page moves by itself when somebody else does something.
  private func instance(_ browser: Browser, _ url: String, _ data: String) async throws {
    try await browser.open(url + "/instances/acme-main")
    for word in [
      "Control path", "Runtime", "Liveness probe", "Readiness probe", "Gateway WebSocket", "Health report",
      "Model turn", "this-machine", "instance.provision",
    ] {
      let text = try await browser.text()
      #expect(text.contains(word), "\(word)")
    }
    try await pressed(browser)
    let mark = "document.body.dataset.sameLoad = 'yes'"
    try await browser.run(mark)
    let stopped = try await Programs.run(["instance", "stop", "acme-main", "--context", data + "/context.json"])
    #expect(stopped.code == 0, "\(stopped)")
    try await browser.until("It was stopped on request.")
    try await browser.click("form[action$='/start'] button")
    try await browser.until("instance.start: succeeded")
    try await browser.until("current", in: ".headline")
    // What destroys asks for the name first.
    try await browser.unfold("#remove")
    #expect(try await browser.run("return document.querySelector('#remove button').disabled").boolValue == true)
    try await browser.type("acme-main", into: "#remove input[name=confirm]")
    #expect(try await browser.run("return document.querySelector('#remove button').disabled").boolValue == false)
    try await browser.open(url + "/instances/acme-main/logs")
    try await browser.until("listening")
  }

  /// While somebody presses, nothing is exchanged below the pointer; what was missed comes after the click.
  private func pressed(_ browser: Browser) async throws {
    let marked = "document.querySelector('[data-live][id] i.pressed') !== null"
    let script = """
      document.querySelector("[data-live][id]").insertAdjacentHTML("beforeend", "<i class=pressed></i>");
      dispatchEvent(new PointerEvent("pointerdown"));
      return refresh().then(() => \(marked));
      """
    #expect(try await browser.run(script).boolValue == true)
    try await browser.run("dispatchEvent(new PointerEvent('pointerup'))")
    while try await browser.run("return " + marked).boolValue == true { await Task.yield() }
  }

  /// What happened, with its evidence, under a plot that the server drew.
  private func timeline(_ browser: Browser, _ url: String) async throws {
    try await browser.open(url + "/alerts/silences")
    try await browser.type("acme", into: "form[action='/alerts/silences'] input[name=org]")
    try await browser.type("A disk is changed.", into: "form[action='/alerts/silences'] input[name=reason]")
    try await browser.click("form[action='/alerts/silences'] button")
    try await browser.until("A disk is changed.")
    try await browser.open(url + "/instances/acme-main")
    try await browser.click("a[href='/instances/acme-main/timeline']")
    try await browser.until("A silence mutes its alerts from", in: "#timeline")
    try await browser.until("Somebody asked to stop it.", in: "#timeline")
    try await browser.until("The operation instance.start succeeded.", in: "#timeline")
    try await browser.until("It was stopped on request.", in: "#timeline")
    // Whoever did something has a name there, as on every other page.
    let told = try await browser.run("return document.querySelector('#timeline').textContent").stringValue ?? ""
    #expect(told.contains(/By [a-zA-Z]/) && !told.contains(/By (user|token|system)\//), "\(told)")
    let shown = "return [...document.querySelectorAll('svg.plot')].filter((plot) => plot.checkVisibility())"
    #expect(try await browser.run("\(shown).length").intValue == 2, "links and parts, one drawing for each width")
    let says = try await browser.run("\(shown).map((one) => one.querySelector('desc').textContent).join()").stringValue
    #expect(
      says?.contains("Gateway WebSocket: median") == true && says?.contains("Hello: median") == true, "\(says ?? "")")
    #expect(try await browser.run("\(shown)[0].querySelectorAll('.plot-line, .plot-dot').length").intValue ?? 0 > 3)
    try await browser.unfold("#latency-table")
    try await browser.until("Each link over 1 hour")
    try await browser.unfold("#timeline details[id^='chain-']")
    try await browser.until("Looked at, UTC", in: "#timeline")
    try await browser.click("#timeline a[href^='/evidence/']")
    try await browser.until("Leaf hash")
  }

  /// Another path is checked first, with what it showed; then it is switched to. No page gives the key back.
  private func path(_ browser: Browser, _ url: String, _ folder: String) async throws {
    let daemon = try await SSHDaemon(in: folder)
    let running = try await daemon.start()
    let sentinel = try #require(try daemon.key.split(separator: "\n").dropFirst(2).first.map(String.init))
    func fill(_ hostKeys: String) async throws {
      try await browser.type(hostKeys, into: "#switch textarea[name=hostKeys]")
      try await browser.type(try daemon.key, into: "#switch textarea[name=key]")
      try await browser.click("#switch button")
    }
    try await browser.open(url + "/instances/acme-main")
    try await browser.click("a[href='/instances/acme-main/path']")
    try await browser.until("In use: aw-gateway")
    try await browser.click("a[href$='?kind=ssh-forward']")
    try await browser.type("127.0.0.1", into: "#switch input[name=address]")
    try await browser.type("\(daemon.port)", into: "#switch input[name=port]")
    try await browser.type(daemon.user, into: "#switch input[name=user]")
    try await fill("nonsense")
    try await browser.until("A line of the host keys is no public key.")
    // What is no secret is still there.
    try await browser.run("document.querySelector('#switch textarea[name=hostKeys]').value = ''")
    try await fill(try daemon.hostKey)
    try await browser.until("Checked just now: ssh-forward, root@127.0.0.1:\(daemon.port)")
    #expect(try await browser.text(".once").contains("Health report"))
    let page = "return document.documentElement.outerHTML"
    #expect(try await browser.run(page).stringValue?.contains(sentinel) == false)
    try await browser.click(".once button")
    try await browser.until("In use: ssh-forward, root@127.0.0.1:\(daemon.port)")
    #expect(try await browser.text().contains("SHA256:"))
    #expect(try await browser.run(page).stringValue?.contains(sentinel) == false)
    try await browser.click("a[href$='?kind=aw-gateway']")
    try await browser.click("#switch button")
    try await browser.until("Checked just now: aw-gateway")
    try await browser.click(".once button")
    try await browser.until("In use: aw-gateway")
    try await SSHDaemon.end(running)
  }

  private func orgs(_ browser: Browser, _ url: String) async throws {
    try await browser.open(url + "/orgs?limit=1")
    try await browser.type("zeta", into: "form[action='/orgs'] input[name=slug]")
    try await browser.click("form[action='/orgs'][method=post] button")
    try await browser.until("zeta", in: "#orgs")
    try await browser.open(url + "/orgs?limit=1")
    #expect(try await !browser.text("#orgs").contains("zeta"))
    try await browser.click("a[rel=next]")
    try await browser.until("zeta", in: "#orgs")
  }

  private func newInstance(_ browser: Browser, _ url: String) async throws {
    try await browser.open(url + "/instances/new")
    try await browser.type("acme-main", into: "form[action='/instances'] input[name=slug]")
    try await browser.click("form[action='/instances'] button")
    try await browser.until("There is already an Instance named 'acme-main'.")
    try await browser.run("document.querySelector('form[action=\"/instances\"] input[name=slug]').value = ''")
    try await browser.type("acme-two", into: "form[action='/instances'] input[name=slug]")
    try await browser.click("form[action='/instances'] button")
    try await browser.until("instance.provision: succeeded")
    try await browser.until("Every link of the chain passed.")
    try await browser.unfold("#remove")
    try await browser.click("#remove input[name=purge]")
    try await browser.type("acme-two", into: "#remove input[name=confirm]")
    try await browser.click("#remove button")
    try await browser.until("There is no Instance acme-two")
  }

  private func hosts(_ browser: Browser, _ url: String) async throws {
    try await browser.open(url + "/hosts")
    #expect(try await browser.text().contains("this-machine"))
    try await browser.type("second", into: "input[name=slug]")
    try await browser.click("form[action='/hosts'] button")
    try await browser.until("aw connect --enrol")
    #expect(try await browser.text(".once").contains(/echo aw1\.[0-9a-f]{64}\.[0-9a-f]{64} \| aw connect/))
    try await browser.open(url + "/hosts")
    #expect(try await !browser.text().contains("aw1."), "the line is shown once")
    try await browser.until("invited")
  }

  private func evidence(_ browser: Browser, _ url: String) async throws {
    try await browser.open(url + "/evidence?kind=instance.requested")
    let text = try await browser.text("tbody")
    #expect(text.contains("instance.requested") && text.contains("acme-main"))
    try await browser.click("tbody a")
    try await browser.until("Leaf hash")
    #expect(try await browser.text("pre").contains("\"slug\": \"acme-"))
  }

  private func access(_ browser: Browser, _ url: String) async throws {
    try await browser.open(url + "/access")
    try await browser.type("robot", into: "form[action='/access/tokens'] input[name=name]")
    try await browser.click("form[action='/access/tokens'] button")
    try await browser.until("not shown again")
    #expect(try await browser.text(".once").contains("aw_"))
    try await browser.open(url + "/access")
    try await browser.until("robot")
    try await browser.click("form[action$='/revoke'] button")
    try await browser.until("revoked")
    try await browser.click("form[action='/sign-out'] button")
    try await browser.until("Password")
  }
}
