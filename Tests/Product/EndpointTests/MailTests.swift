import Basics
import Foundation
import TestSupport
import Testing

@testable import Alerts

@Suite("Mails")
struct MailTests {
  static func form(_ more: [String: JSONValue] = [:], target: String = "smtp://mail.example.com") throws -> EmailForm {
    let settings: [String: JSONValue] = ["from": "aw@example.com", "to": ["ops@example.com", "night@example.com"]]
    guard
      case .email(let form) = try EndpointForm(
        Samples.endpoint(.email, target, settings: .object(settings.merging(more) { $1 })))
    else { throw RequestTests.Missing() }
    return form
  }

  @Test("a mail has the headers of RFC 5322 and text that every program shows")
  func golden() throws {
    let mail = MailMessage.make(try Samples.notification(), try Self.form(), at: Samples.now)
    try Golden.check("mail.txt", mail.replacing("\r\n", with: "\n"))
    for line in mail.components(separatedBy: "\r\n") { #expect(line.utf8.count <= 78) }
    #expect(mail.utf8.allSatisfy { $0 < 0x80 })
    #expect(!mail.replacing("\r\n", with: "").contains("\n"))
  }

  @Test("the Message-ID is the same at every try and another for another notification")
  func identity() throws {
    let form = try Self.form()
    let id = { (text: String) in text.components(separatedBy: "\r\n").first { $0.hasPrefix("Message-ID:") } }
    let first = MailMessage.make(try Samples.notification(), form, at: Samples.now)
    let again = MailMessage.make(try Samples.notification(), form, at: Samples.now.advanced(by: .seconds(60)))
    let other = MailMessage.make(try Samples.notification(id: "ntf_2"), form, at: Samples.now)
    #expect(id(first) == id(again))
    #expect(id(first) != id(other))
  }

  @Test("a line break in a title begins no header")
  func injection() throws {
    for evil in ["x\r\nBcc: all@example.com", "x\nBcc: all@example.com", "x\u{85}y", "x\u{2028}Bcc: z", "x\u{0}\r"] {
      var alert = Samples.down
      alert.title = evil
      let mail = MailMessage.make(try Samples.notification([alert], groupKey: evil), try Self.form(), at: Samples.now)
      let head = mail.components(separatedBy: "\r\n\r\n")[0]
      #expect(!head.components(separatedBy: "\r\n").contains { $0.hasPrefix("Bcc") })
      #expect(!head.replacing("\r\n", with: "").contains { $0.isNewline })
    }
  }

  @Test("a subject that is not short ASCII is written in encoded words that a reader puts together again")
  func words() throws {
    for subject in [
      "plain", "Größe und Länge: " + String(repeating: "ä€😀", count: 30), String(repeating: "a", count: 100),
      "=?utf-8?B?eA==?=",
    ] {
      let written = MailMessage.encodedWords(subject)
      let words = written.components(separatedBy: "\r\n ")
      for word in words { #expect(word.utf8.count <= 75) }
      guard written != subject else { continue }
      let bytes = words.flatMap { word in
        Array(Data(base64Encoded: String(word.dropFirst("=?utf-8?B?".count).dropLast(2))) ?? Data())
      }
      #expect(String(decoding: bytes, as: UTF8.self) == subject)
    }
  }

  @Test("quoted-printable text is what it was, after a reader has undone it")
  func quoting() throws {
    var random = Seeded(state: 3)
    let alphabet = Array("abc =\t.ä€😀\n\r0")
    for _ in 0..<2_000 {
      let count = Int.random(in: 0...200, using: &random)
      let text = String((0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] })
      let coded = MailMessage.quotedPrintable(text)
      #expect(coded.isEmpty || Array(coded.utf8).suffix(2) == [0x0d, 0x0a])
      for line in coded.components(separatedBy: "\r\n") {
        #expect(line.utf8.count <= 76)
        #expect(!line.hasSuffix(" ") && !line.hasSuffix("\t"))
        #expect(line.utf8.allSatisfy { ($0 >= 0x20 && $0 < 0x7f) || $0 == 0x09 })
      }
      let expected = MailLines.of(text).map { String(decoding: $0, as: UTF8.self) + "\n" }.joined()
      #expect(Self.undone(coded) == expected)
    }
  }

  /// Undoes quoted-printable, by its rules and not by our code.
  private static func undone(_ text: String) -> String {
    let joined = Array(text.replacing("=\r\n", with: "").replacing("\r\n", with: "\n").utf8)
    var (bytes, index): ([UInt8], Int) = ([], 0)
    while index < joined.count {
      if joined[index] == 0x3d, index + 2 < joined.count,
        let value = UInt8(String(decoding: joined[index + 1...index + 2], as: UTF8.self), radix: 16)
      {
        bytes.append(value)
        index += 3
      } else {
        bytes.append(joined[index])
        index += 1
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test("templates write subject and body; a subject stays one line")
  func templates() throws {
    let form = try Self.form(["subject": "{{org}}\n{{openCount}} open", "body": "{{#alerts}}.{{title}}\n{{/alerts}}"])
    let mail = MailMessage.make(try Samples.notification(), form, at: Samples.now)
    #expect(mail.contains("Subject: acme 1 open\r\n"))
    #expect(mail.contains("\r\n\r\n.acme-1 is unreachable"))
  }

  @Test("a mail that is long names what it leaves out")
  func long() throws {
    let mail = MailMessage.make(try Samples.notification(Samples.many(250)), try Self.form(), at: Samples.now)
    #expect(mail.contains("and 50 more: see the console"))
  }

  @Test(
    "lines that begin with a dot are stuffed, and a lone dot ends the mail",
    arguments: [
      ("a\r\n", "a\r\n.\r\n"), ("a", "a\r\n.\r\n"), (".\r\n", "..\r\n.\r\n"), (".a\r\n..b\r\n", "..a\r\n...b\r\n.\r\n"),
      ("a\n.\nb\n", "a\r\n..\r\nb\r\n.\r\n"), ("", ".\r\n"), ("a\r\n\r\n", "a\r\n\r\n.\r\n"),
      ("a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"),
    ])
  func dots(_ text: String, _ wire: String) { #expect(SMTPContent.onWire(text) == wire) }

  @Test("no content ends itself, whatever is in it")
  func dotsAtRandom() {
    var random = Seeded(state: 5)
    let alphabet = Array(".\r\na")
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...20, using: &random)
      let text = String((0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] })
      let wire = [0x0d, 0x0a] + Array(SMTPContent.onWire(text).utf8)
      let end: [UInt8] = [0x0d, 0x0a, 0x2e, 0x0d, 0x0a]
      #expect(
        (0...wire.count - end.count).filter { Array(wire[$0..<$0 + end.count]) == end } == [wire.count - end.count])
    }
  }
}
