import Basics
import Foundation
import TestSupport
import Testing

@testable import Alerts

@Suite("Mail to a real server")
struct MailServerTests {
  static let password = "correct-horse-sentinel"

  struct Mail: Sendable {
    let outcome: DeliveryOutcome
    /// What the server took; nil when it took nothing.
    let taken: JSONValue?
    let log: String
  }

  /// Sends one mail to a server of this kind.
  static func send(
    _ mode: String, _ settings: [String: JSONValue], scheme: String = "smtp", password: String = password,
    names: [String] = ["mail.test"], to recipients: [String] = ["ops@example.com"],
    times: DeliveryTimes = DeliveryTimes()
  ) async throws -> Mail {
    let authority = try TestAuthority(names: names)
    return try await TestFolder.with { folder in
      let (certificate, key) = (folder + "/certificate.pem", folder + "/key.pem")
      try authority.certificatePEM.write(toFile: certificate, atomically: true, encoding: .utf8)
      try authority.keyPEM.write(toFile: key, atomically: true, encoding: .utf8)
      return try await Helper.with(Helper.python, [Helper.script("smtp_server.py"), mode, certificate, key]) { lines in
        let port = try #require(try await lines.document(with: "port")["port"]?.intValue)
        return try await Scene.with(names: ["mail.test": "127.0.0.1"], secrets: ["e/pw": password], times: times) {
          scene in
          var all: [String: JSONValue] = [
            "from": "aw@example.com", "to": .array(recipients.map { .string($0) }),
            "ca": .string(authority.authorityPEM),
          ]
          all.merge(settings) { $1 }
          let endpoint = try Samples.endpoint(
            .email, "\(scheme)://mail.test:\(port)", settings: .object(all), secrets: ["e/pw"],
            allowsPrivate: Scene.loopback)
          let problem = await scene.sender.problem(with: endpoint)
          #expect(problem == nil, "\(String(describing: problem))")
          let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
          var taken: JSONValue?
          if case .delivered = outcome { taken = try await lines.document(with: "content") }
          return Mail(outcome: outcome, taken: taken, log: scene.log.text)
        }
      }
    }
  }

  @Test(
    "STARTTLS and a password are used where the server demands them",
    arguments: [
      ("starttls", "PLAIN aw"), ("login", "LOGIN aw"),
    ])
  func whole(_ mode: String, _ user: String) async throws {
    let mail = try await Self.send(mode, ["username": "aw"])
    #expect(mail.outcome == .delivered(detail: "SMTP 250: 2.0.0 queued as 1A2B"))
    #expect(mail.taken?["tls"] == true)
    #expect(mail.taken?["user"]?.stringValue == user)
    #expect(mail.taken?["from"] == "aw@example.com")
    #expect(mail.taken?["to"] == ["ops@example.com"])
    #expect(mail.taken?["helo"] == "[127.0.0.1]")
    let content = mail.taken?["content"]?.stringValue ?? ""
    #expect(content.contains("Subject: "))
    #expect(content.contains("Message-ID: <ntf_0193cccc@example.com>"))
    #expect(!mail.log.contains("sentinel"))
  }

  @Test("TLS from the start is spoken where the address says so")
  func implicit() async throws {
    let mail = try await Self.send("tls", ["username": "aw"], scheme: "smtps")
    #expect(mail.outcome == .delivered(detail: "SMTP 250: 2.0.0 queued as 1A2B"))
    #expect(mail.taken?["user"]?.stringValue == "PLAIN aw")
  }

  @Test("the loopback of this machine may be told to take mail in the clear; dots and umlauts arrive as they are")
  func clear() async throws {
    let mail = try await Self.send(
      "plain", ["starttls": "off", "subject": "Größe", "body": ".\n..a\n.b ist größer\n"])
    #expect(OutcomeTests.kind(mail.outcome) == .delivered)
    #expect(mail.taken?["tls"] == false)
    let content = mail.taken?["content"]?.stringValue ?? ""
    #expect(content.hasSuffix("\r\n\r\n.\r\n..a\r\n.b ist gr=C3=B6=C3=9Fer\r\n"), "\(content.suffix(80))")
  }

  @Test("a server without STARTTLS gets nothing")
  func stripped() async throws {
    let mail = try await Self.send("none", [:])
    #expect(OutcomeTests.kind(mail.outcome) == .retry)
    #expect(mail.outcome.detail.hasPrefix("TLS: the server offers no STARTTLS"))
  }

  @Test("what is said in the clear behind the consent to TLS is not taken for the server's word")
  func injected() async throws {
    let mail = try await Self.send("inject", ["username": "aw"])
    #expect(mail.outcome == .retry(after: nil, detail: "TLS: the server spoke before TLS had begun"))
  }

  @Test("a wrong password is a refusal that does not repeat it")
  func password() async throws {
    let mail = try await Self.send("starttls", ["username": "aw"], password: "wrong-sentinel")
    #expect(
      mail.outcome == .rejected(detail: "SMTP 535: the server does not take the user name and password"))
    #expect(!"\(mail.outcome) \(mail.log)".contains("sentinel"))
  }

  @Test("a certificate for another name is refused before anything is said")
  func name() async throws {
    let mail = try await Self.send("starttls", ["username": "aw"], names: ["other.test"])
    #expect(mail.outcome == .retry(after: nil, detail: "TLS: the certificate is for another name"))
  }

  @Test("refused recipients are counted; without any left the server's answer decides")
  func recipients() async throws {
    let some = try await Self.send("plain", ["starttls": "off"], to: ["refused@example.com", "ops@example.com"])
    #expect(some.outcome == .delivered(detail: "1 of 2 recipients were refused; SMTP 250: 2.0.0 queued as 1A2B"))
    #expect(some.taken?["to"] == ["ops@example.com"])
    let later = try await Self.send("plain", ["starttls": "off"], to: ["later@example.com"])
    #expect(OutcomeTests.kind(later.outcome) == .retry)
    let never = try await Self.send("plain", ["starttls": "off"], to: ["refused@example.com"])
    #expect(OutcomeTests.kind(never.outcome) == .rejected)
  }

  @Test("a server that is silent, and one that never ends its reply, are given up", arguments: ["mute", "drip"])
  func silent(_ mode: String) async throws {
    let times = DeliveryTimes(answer: .milliseconds(mode == "mute" ? 200 : 60_000), whole: .milliseconds(600))
    let mail = try await Self.send(mode, [:], times: times)
    let what = mode == "mute" ? "the server did not answer" : "the server did not take the mail"
    #expect(mail.outcome == .retry(after: nil, detail: "\(what) within 0 s"))
  }

  @Test("what does not speak SMTP is told by name")
  func stranger() async throws {
    try await Receiver.with([.status(200)]) { receiver in
      try await Scene.with { scene in
        let endpoint = try Samples.endpoint(
          .email, "smtps://127.0.0.1:\(receiver.port)", settings: ["from": "a@b.c", "to": ["a@b.c"]],
          allowsPrivate: Scene.loopback)
        let outcome = await scene.sender.send(try Samples.notification(), to: endpoint, at: Samples.now)
        #expect(OutcomeTests.kind(outcome) == .retry)
        #expect(outcome.detail.hasPrefix("TLS: "))
      }
    }
  }
}
