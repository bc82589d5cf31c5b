import AsyncHTTPClient
import Basics
import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1
import Testing

/// A real Chromium, driven by the WebDriver protocol (W3C) of its own driver.
struct Browser: Sendable {
  private let base: String
  private let session: String

  /// Starts the driver and a browser, hands it over, and ends both.
  static func with(_ body: (Browser) async throws -> Void) async throws {
    let driver = try #require(
      ["/usr/bin/chromedriver", "/usr/local/bin/chromedriver"].first {
        FileManager.default.isExecutableFile(atPath: $0)
      },
      "chromedriver is not installed: script/bootstrap --tests")
    try await LongRunning.with(driver, ["--port=0"]) { process in
      let line = try await process.line(with: "started successfully on port")
      let port = try #require(line.firstMatch(of: /on port ([0-9]+)/)?.output.1)
      let browser = try await Browser(base: "http://127.0.0.1:\(port)")
      let result: Result<Void, any Error>
      do { result = .success(try await body(browser)) } catch { result = .failure(error) }
      _ = try await browser.send(.DELETE, "")
      try result.get()
    }
  }

  private init(base: String) async throws {
    let capabilities: JSONValue = [
      "capabilities": [
        "alwaysMatch": [
          "goog:chromeOptions": [
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
          ],
          "goog:loggingPrefs": ["browser": "ALL"],
        ]
      ]
    ]
    let answer = try await Self.exchange(.POST, base + "/session", capabilities)
    self.base = base
    session = try #require(answer["sessionId"]?.stringValue)
  }

  struct Failed: Error, CustomStringConvertible {
    let description: String
  }

  private static func exchange(_ method: HTTPMethod, _ url: String, _ body: JSONValue?) async throws -> JSONValue {
    var request = HTTPClientRequest(url: url)
    request.method = method
    request.headers.add(name: "content-type", value: "application/json")
    if let body { request.body = .bytes(ByteBuffer(string: body.canonical)) }
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
    let bytes = try await response.body.collect(upTo: 32 << 20)
    let value = try JSONValue(parsing: Array(bytes.readableBytesView))["value"] ?? .null
    if response.status.code >= 400 { throw Failed(description: "\(url): \(value["message"]?.stringValue ?? "")") }
    return value
  }

  private func send(_ method: HTTPMethod, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
    try await Self.exchange(method, "\(base)/session/\(session)\(path)", body)
  }

  // MARK: - Doing

  func open(_ url: String) async throws { _ = try await send(.POST, "/url", ["url": .string(url)]) }

  func click(_ selector: String) async throws { try await act("click", [:], on: selector) }

  func type(_ text: String, into selector: String) async throws {
    try await act("value", ["text": .string(text)], on: selector)
  }

  /// Opens a `details`. A live page may exchange it while the click is under way, which is then made a second time: what
  /// counts is that it is open in the end.
  func unfold(_ selector: String) async throws {
    let isOpen = "return document.querySelector(\"\(selector)\")?.open ?? false"
    while try await run(isOpen).boolValue != true { try await click("\(selector) summary") }
  }

  /// A live page may exchange an element between finding and using it, or move it from below the pointer; then it is
  /// found again, on a busy machine more than once.
  private func act(_ verb: String, _ body: JSONValue, on selector: String) async throws {
    for left in (0..<Self.triesMax).reversed() {
      do {
        _ = try await send(.POST, "/element/\(try await find(selector))/\(verb)", body)
        return
      } catch let failed as Failed where Self.isMoved(failed) && left > 0 {
        continue
      }
    }
  }

  private static let triesMax = 20

  private static func isMoved(_ failed: Failed) -> Bool {
    ["stale element", "click intercepted"].contains { failed.description.contains($0) }
  }

  /// Presses keys, one after the other, wherever the focus is.
  func press(_ keys: String...) async throws {
    let actions = keys.flatMap { key -> [JSONValue] in
      [["type": "keyDown", "value": .string(key)], ["type": "keyUp", "value": .string(key)]]
    }
    _ = try await send(
      .POST, "/actions", ["actions": [["type": "key", "id": "keyboard", "actions": .array(actions)]]])
  }

  private func find(_ selector: String) async throws -> String {
    let element = try await send(.POST, "/element", ["using": "css selector", "value": .string(selector)])
    return try #require(element.objectValue?.values.first?.stringValue)
  }

  // MARK: - Looking

  @discardableResult
  func run(_ script: String) async throws -> JSONValue {
    try await send(.POST, "/execute/sync", ["script": .string(script), "args": []])
  }

  /// What a person reads on the page.
  func text(_ selector: String = "main") async throws -> String {
    try await run("return document.querySelector('\(selector)')?.innerText ?? ''").stringValue ?? ""
  }

  var path: String {
    get async throws { try await run("return location.pathname").stringValue ?? "" }
  }

  /// Reads the page until it says something; a page that never does fails the test's time limit by this name.
  func until(_ what: String, in selector: String = "main") async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while try await !text(selector).contains(what) {
      guard ContinuousClock.now < deadline else {
        throw Failed(description: "the page never said \(what.quoted); it says:\n\(try await text())")
      }
    }
  }

  func look(width: Int, height: Int, dark: Bool) async throws {
    _ = try await send(
      .POST, "/goog/cdp/execute",
      [
        "cmd": "Emulation.setDeviceMetricsOverride",
        "params": [
          "width": .integer(Int64(width)), "height": .integer(Int64(height)), "deviceScaleFactor": 1,
          "mobile": .bool(width < 600),
        ],
      ])
    let scheme: JSONValue = dark ? "dark" : "light"
    _ = try await send(
      .POST, "/goog/cdp/execute",
      [
        "cmd": "Emulation.setEmulatedMedia",
        "params": ["features": [["name": "prefers-color-scheme", "value": scheme]]],
      ])
  }

  func screenshot() async throws -> Data {
    let text = try #require(try await send(.GET, "/screenshot").stringValue)
    return try #require(Data(base64Encoded: text))
  }

  /// Also what lies below the edge of the window.
  func wholePage() async throws -> Data {
    let answer = try await send(
      .POST, "/goog/cdp/execute",
      ["cmd": "Page.captureScreenshot", "params": ["format": "png", "captureBeyondViewport": true]])
    return try #require(answer["data"]?.stringValue.flatMap { Data(base64Encoded: $0) })
  }

  /// What the browser complained of since it was last asked: scripts that failed, and what the page may not load.
  func complaints() async throws -> [String] {
    let entries = try await send(.POST, "/se/log", ["type": "browser"]).arrayValue ?? []
    return entries.filter { $0["level"] == "SEVERE" }.compactMap { $0["message"]?.stringValue }
  }
}
