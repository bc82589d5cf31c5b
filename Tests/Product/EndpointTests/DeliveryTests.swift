import Addresses
import Basics
import Foundation
import Logging
import NIOHTTP1
import Synchronization
import TestSupport
import Testing
import Vault

@testable import Alerts

/// Keeps what is logged, at every level.
final class LogBook: Sendable {
  private let lines = Mutex<[String]>([])
  var text: String { lines.withLock { $0.joined(separator: "\n") } }

  var logger: Logger {
    var logger = Logger(label: "test") { _ in Handler(book: self) }
    logger.logLevel = .trace
    return logger
  }

  private struct Handler: LogHandler {
    let book: LogBook
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]

    init(book: LogBook) { self.book = book }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let all = metadata.merging(event.metadata ?? [:]) { $1 }
      book.lines.withLock { $0.append("\(event.message) \(all)") }
    }
  }
}

/// A vault and a sender, for one test.
struct Scene {
  let vault: Vault
  let sender: EndpointSender
  let log: LogBook

  static let loopback = ["127.0.0.0/8"]

  /// - Parameter names: what names resolve to; the machine's resolver is not asked.
  static func with<Value>(
    names: [String: String] = [:], secrets: [String: String] = [:], times: DeliveryTimes = DeliveryTimes(),
    _ body: (Scene) async throws -> Value
  ) async throws -> Value {
    try await TestFolder.with { folder in
      let vault = try Vault.open(file: folder + "/vault", key: try VaultKey(.randomHex(byteCount: 32)))
      for (name, value) in secrets { try await vault.put(Secret(value), at: try SecretReference(name)) }
      let log = LogBook()
      let resolver = AddressResolver { name in names[name].flatMap { NetworkAddress($0) }.map { [$0] } ?? [] }
      return try await body(
        Scene(
          vault: vault,
          sender: EndpointSender(vault: vault, logger: log.logger, resolver: resolver, times: times), log: log))
    }
  }
}

@Suite("Deliveries over HTTP")
struct DeliveryTests {
  static let signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

  static func webhook(_ url: String, _ settings: JSONValue = [:], secrets: [String] = ["endpoint/one"]) throws
    -> Endpoint
  {
    try Samples.endpoint(.webhook, url, settings: settings, secrets: secrets, allowsPrivate: Scene.loopback)
  }

  @Test("a webhook arrives whole and signed with both keys while one replaces the other")
  func arrives() async throws {
    let newer = "whsec_" + Data([UInt8](repeating: 7, count: 32)).base64EncodedString()
    try await Scene.with(secrets: ["endpoint/one": newer, "endpoint/two": Self.signing]) { scene in
      try await Receiver.with([.status(204)]) { receiver in
        let endpoint = try Self.webhook(
          "http://127.0.0.1:\(receiver.port)/hook?a=b", secrets: ["endpoint/one", "endpoint/two"])
        let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
        #expect(outcome == .delivered(detail: "HTTP 204"))
        let request = try #require(await receiver.next())
        #expect(request.head.uri == "/hook?a=b")
        #expect(request.head.headers["content-type"] == ["application/cloudevents+json"])
        let id = try #require(request.head.headers.first(name: "webhook-id"))
        let keys = [newer, Self.signing].compactMap { StandardWebhooks.key(Secret($0)) }
        let expected = StandardWebhooks.headers(id: id, at: Samples.now, body: request.body, keys: keys)
        #expect(request.head.headers.first(name: "webhook-signature") == expected[2].value)
      }
    }
  }

  @Test(
    "what the receiver answers decides",
    arguments: [
      (200, OutcomeTests.Kind.delivered), (410, .gone), (404, .rejected), (429, .retry), (503, .retry), (500, .retry),
    ])
  func statuses(_ status: Int, _ kind: OutcomeTests.Kind) async throws {
    try await Scene.with(secrets: ["endpoint/one": Self.signing]) { scene in
      try await Receiver.with([.status(status, headers: [("retry-after", "7")], body: "because\n<b>")]) { receiver in
        let endpoint = try Self.webhook("http://127.0.0.1:\(receiver.port)/")
        let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
        #expect(OutcomeTests.kind(outcome) == kind)
        #expect(outcome.detail == "HTTP \(status): because <b>")
        if case .retry(let after, _) = outcome { #expect(after == .seconds(7)) }
      }
    }
  }

  @Test("a redirect is not followed, wherever it leads")
  func redirect() async throws {
    try await Scene.with(secrets: ["endpoint/one": Self.signing]) { scene in
      try await Receiver.with([.status(200)]) { elsewhere in
        let location = [("location", "http://127.0.0.1:\(elsewhere.port)/stolen")]
        try await Receiver.with([.status(307, headers: location)]) { receiver in
          let endpoint = try Self.webhook("http://127.0.0.1:\(receiver.port)/")
          let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
          #expect(outcome == .rejected(detail: "HTTP 307: a redirect, which is not followed"))
          // Nothing came there before this.
          let direct = try Self.webhook("http://127.0.0.1:\(elsewhere.port)/direct")
          _ = await scene.sender.send(try Samples.notification(), to: direct, at: Samples.now)
          #expect(await elsewhere.next()?.head.uri == "/direct")
        }
      }
    }
  }

  @Test("the address that was checked is dialled, and the name stays in the request and in TLS")
  func pinned() async throws {
    let authority = try TestAuthority(names: ["hooks.customer.example"])
    try await Scene.with(
      names: ["hooks.customer.example": "127.0.0.1"], secrets: ["endpoint/one": Self.signing]
    ) { scene in
      try await Receiver.with([.status(200)], tls: authority) { receiver in
        let endpoint = try Self.webhook(
          "https://hooks.customer.example:\(receiver.port)/", ["ca": .string(authority.authorityPEM)])
        #expect(await scene.sender.problem(with: endpoint) == nil)
        // No resolver of this machine knows the name: only the checked address can have been dialled.
        let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
        #expect(outcome == .delivered(detail: "HTTP 200"))
        let request = try #require(await receiver.next())
        #expect(request.head.headers.first(name: "host") == "hooks.customer.example:\(receiver.port)")
      }
    }
  }

  @Test("a name that answers differently the second time is checked again, and refused")
  func rebinding() async throws {
    try await Scene.with(secrets: ["endpoint/one": Self.signing]) { scene in
      let turns = Mutex(["93.184.216.34", "127.0.0.1"])
      let resolver = AddressResolver { _ in
        [NetworkAddress(turns.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] })].compactMap { $0 }
      }
      let sender = EndpointSender(vault: scene.vault, logger: scene.log.logger, resolver: resolver)
      let endpoint = try Samples.endpoint(.webhook, "https://hooks.customer.example/", secrets: ["endpoint/one"])
      #expect(await sender.problem(with: endpoint) == nil)
      let outcome = await sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
      #expect(OutcomeTests.kind(outcome) == .rejected)
      #expect(outcome.detail.contains("127.0.0.1 (loopback)"))
    }
  }

  @Test("what is wrong with TLS is named: another authority, another name, no time left, no TLS at all")
  func tls() async throws {
    let (right, other) = (try TestAuthority(names: ["a.example"]), try TestAuthority(names: ["a.example"]))
    let late = try TestAuthority(names: ["a.example"], expired: true)
    let cases: [(server: TestAuthority?, authority: TestAuthority, name: String, words: String)] = [
      (right, other, "a.example", "TLS: the certificate is not trusted"),
      (right, right, "b.example", "TLS: the certificate is for another name"),
      (late, late, "a.example", "TLS: the certificate is not trusted"),
      (nil, right, "a.example", "TLS: the receiver does not speak TLS here"),
    ]
    for (server, authority, name, words) in cases {
      try await Scene.with(
        names: ["a.example": "127.0.0.1", "b.example": "127.0.0.1"], secrets: ["endpoint/one": Self.signing]
      ) { scene in
        try await Receiver.with([.status(200)], tls: server) { receiver in
          let endpoint = try Self.webhook(
            "https://\(name):\(receiver.port)/", ["ca": .string(authority.authorityPEM)])
          let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
          #expect(outcome == .retry(after: nil, detail: words))
        }
      }
    }
  }

  @Test("a receiver that hangs up, or is not there, is tried again later")
  func gone() async throws {
    try await Scene.with(secrets: ["endpoint/one": Self.signing]) { scene in
      let port = try await Receiver.with([.close]) { receiver in
        let outcome = await scene.sender.send(
          try Samples.notification(), to: try Self.webhook("http://127.0.0.1:\(receiver.port)/"), at: Samples.now)
        #expect(OutcomeTests.kind(outcome) == .retry)
        return receiver.port
      }
      let outcome = await scene.sender.send(
        try Samples.notification(), to: try Self.webhook("http://127.0.0.1:\(port)/"), at: Samples.now)
      #expect(outcome == .retry(after: nil, detail: "the connection was refused: nothing listens there"))
    }
  }

  @Test("a receiver that takes the request and says nothing is given up, and tried again later")
  func silent() async throws {
    let times = DeliveryTimes(answer: .milliseconds(200))
    try await Scene.with(secrets: ["endpoint/one": Self.signing], times: times) { scene in
      try await Receiver.with([.silence]) { receiver in
        let outcome = await scene.sender.send(
          try Samples.notification(), to: try Self.webhook("http://127.0.0.1:\(receiver.port)/"), at: Samples.now)
        #expect(outcome == .retry(after: nil, detail: "no answer within 0 s"))
      }
    }
  }

  @Test("many requests that each take their time end with the whole delivery's limit")
  func endless() async throws {
    let times = DeliveryTimes(answer: .seconds(60), whole: .milliseconds(300))
    try await Scene.with(secrets: ["endpoint/one": Self.signing], times: times) { scene in
      try await Receiver.with([.status(200), .silence]) { receiver in
        let large = try Samples.notification(Samples.many(100, dataBytes: 900))
        let outcome = await scene.sender.send(
          large, to: try Self.webhook("http://127.0.0.1:\(receiver.port)/"), at: Samples.now)
        #expect(OutcomeTests.kind(outcome) == .retry)
        #expect(outcome.detail.hasSuffix("requests did not end within 0 s"))
      }
    }
  }

  @Test("a hundred deliveries at once all arrive, and leave no connection behind")
  func crowd() async throws {
    try await Scene.with(secrets: ["endpoint/one": Self.signing]) { scene in
      try await Receiver.with([.status(200)]) { receiver in
        let endpoint = try Self.webhook("http://127.0.0.1:\(receiver.port)/")
        let outcomes = try await withThrowingTaskGroup(of: DeliveryOutcome.self) { group in
          for number in 0..<100 {
            let notification = try Samples.notification(id: "ntf_\(number)")
            group.addTask { await scene.sender.send(notification, to: endpoint, at: Samples.now) }
          }
          var outcomes: [DeliveryOutcome] = []
          for try await outcome in group { outcomes.append(outcome) }
          return outcomes
        }
        #expect(outcomes == [DeliveryOutcome](repeating: .delivered(detail: "HTTP 200"), count: 100))
        var (opened, last) = (0, 0)
        for await open in receiver.connections {
          if open > last { opened += 1 }
          last = open
          if opened == 100, open == 0 { break }
        }
        #expect(last == 0)
      }
    }
  }

  @Test("parts of a large notification are sent in order; a refusal keeps none back, a retry the rest")
  func parts() async throws {
    try await Scene.with(secrets: ["endpoint/one": Self.signing]) { scene in
      let large = try Samples.notification(Samples.many(100, dataBytes: 900))
      try await Receiver.with([.status(200), .status(400), .status(200)]) { receiver in
        let outcome = await scene.sender.send(
          large, to: try Self.webhook("http://127.0.0.1:\(receiver.port)/"), at: Samples.now)
        #expect(OutcomeTests.kind(outcome) == .rejected)
        #expect(outcome.detail.hasSuffix("requests delivered; HTTP 400"))
      }
      try await Receiver.with([.status(200), .status(503), .status(200)]) { receiver in
        let outcome = await scene.sender.send(
          large, to: try Self.webhook("http://127.0.0.1:\(receiver.port)/"), at: Samples.now)
        #expect(OutcomeTests.kind(outcome) == .retry)
        #expect(outcome.detail.hasPrefix("1 of "))
      }
    }
  }

  @Test(
    "no secret is in an outcome, an error or the log, even when the receiver repeats all it was sent",
    arguments: [200, 400, 410, 503])
  func sentinels(_ status: Int) async throws {
    let sentinels = [
      "sentinel-routing-key", "sentinel-bearer-token", "sentinel-slack-path", "c2VudGluZWwtc2lnbmluZy1rZXktMTIz",
    ]
    try await Receiver.with([.echo(status)]) { receiver in
      let base = "http://127.0.0.1:\(receiver.port)"
      let secrets = [
        "e/pd": sentinels[0], "e/am": sentinels[1], "e/slack": "\(base)/services/T0/B0/\(sentinels[2])",
        "e/hook": "whsec_" + sentinels[3],
      ]
      try await Scene.with(secrets: secrets) { scene in
        let endpoints = [
          try Samples.endpoint(.pagerduty, base, secrets: ["e/pd"], allowsPrivate: Scene.loopback),
          try Samples.endpoint(
            .alertmanager, base, settings: ["auth": "bearer"], secrets: ["e/am"], allowsPrivate: Scene.loopback),
          try Samples.endpoint(.slack, "", secrets: ["e/slack"], allowsPrivate: Scene.loopback),
          try Samples.endpoint(.webhook, base, secrets: ["e/hook"], allowsPrivate: Scene.loopback),
        ]
        var told = ""
        for endpoint in endpoints {
          told += "\(await scene.sender.problem(with: endpoint)?.chain ?? "")\n"
          let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
          told += "\(outcome)\n"
          var closed = endpoint
          closed.allowsPrivate = []
          told += "\(await scene.sender.problem(with: closed)?.chain ?? "")\n"
          told += "\(await scene.sender.send(try Samples.notification(), to: closed, at: Samples.now))\n"
        }
        told += scene.log.text
        #expect(scene.log.text.contains("HTTP \(status)"))
        for sentinel in sentinels { #expect(!told.contains(sentinel), "\(sentinel)") }
      }
    }
  }

  @Test("what is wrong with an endpoint is told before it is saved")
  func problems() async throws {
    try await Scene.with(
      names: ["in.example": "10.0.0.1", "out.example": "93.184.216.34"],
      secrets: ["e/key": Self.signing, "e/bad": "not-a-key-sentinel", "e/url": "ftp://sentinel"]
    ) { scene in
      let cases: [(endpoint: Endpoint, code: ErrorCode?)] = [
        (try Samples.endpoint(.webhook, "https://out.example", secrets: ["e/key"]), nil),
        (try Samples.endpoint(.webhook, "https://out.example"), .endpointSecretMissing),
        (try Samples.endpoint(.webhook, "https://out.example", secrets: ["e/none"]), .endpointSecretMissing),
        (try Samples.endpoint(.webhook, "https://out.example", secrets: ["not a reference"]), .endpointSecretMissing),
        (
          try Samples.endpoint(.webhook, "https://out.example", secrets: ["e/key", "e/key", "e/key"]), .endpointInvalid
        ),
        (try Samples.endpoint(.webhook, "https://out.example", secrets: ["e/bad"]), .endpointInvalid),
        (try Samples.endpoint(.webhook, "https://in.example", secrets: ["e/key"]), .endpointAddressRefused),
        (try Samples.endpoint(.webhook, "https://gone.example", secrets: ["e/key"]), .endpointNameUnknown),
        (try Samples.endpoint(.webhook, "http://out.example", secrets: ["e/key"]), .endpointAddressRefused),
        (
          try Samples.endpoint(.webhook, "https://out.example", settings: ["ca": "x"], secrets: ["e/key"]),
          .endpointInvalid
        ),
        (try Samples.endpoint(.slack, "", secrets: ["e/url"]), .endpointInvalid),
        (
          try Samples.endpoint(
            .email, "smtp://out.example", settings: ["from": "a@b.c", "to": ["a@b.c"], "starttls": "off"]),
          .endpointAddressRefused
        ),
        (try Samples.endpoint(.command, "/nowhere/at/all"), .endpointInvalid),
        (try Samples.endpoint(.command, "/tmp"), .endpointInvalid), (try Samples.endpoint(.command, "/bin/true"), nil),
      ]
      for (endpoint, code) in cases {
        let problem = await scene.sender.problem(with: endpoint)
        #expect(problem?.code == code, "\(endpoint.kind) \(endpoint.target): \(String(describing: problem))")
        #expect(problem?.chain.contains("sentinel") != true)
      }
    }
  }

  @Test("a name that has gone is tried again; a private address is refused at once")
  func late() async throws {
    try await Scene.with(names: ["in.example": "10.0.0.1"], secrets: ["e/key": Self.signing]) { scene in
      let gone = try Samples.endpoint(.webhook, "https://gone.example", secrets: ["e/key"])
      #expect(
        OutcomeTests.kind(await scene.sender.send(try Samples.notification(), to: gone, at: Samples.now)) == .retry)
      let inside = try Samples.endpoint(.webhook, "https://in.example", secrets: ["e/key"])
      #expect(
        OutcomeTests.kind(await scene.sender.send(try Samples.notification(), to: inside, at: Samples.now)) == .rejected
      )
    }
  }
}
