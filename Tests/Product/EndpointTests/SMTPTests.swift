import Basics
import TestSupport
import Testing

@testable import Alerts

@Suite("Conversations with mail servers")
struct SMTPTests {
  // MARK: - Replies

  @Test("replies are read as they come, in pieces of any size")
  func pieces() throws {
    let text = "220 mail.test ESMTP\r\n250-mail.test\r\n250-SIZE 33554432\r\n250 STARTTLS\r\n354\r\n250 \n"
    let expected = [
      SMTPReply(code: 220, lines: ["mail.test ESMTP"]),
      SMTPReply(code: 250, lines: ["mail.test", "SIZE 33554432", "STARTTLS"]), SMTPReply(code: 354, lines: [""]),
      SMTPReply(code: 250, lines: [""]),
    ]
    for size in 1...text.utf8.count {
      var (parser, replies, rest) = (SMTPReplyParser(), [SMTPReply](), Array(text.utf8)[...])
      while !rest.isEmpty {
        replies += try parser.feed(rest.prefix(size))
        rest = rest.dropFirst(size)
      }
      #expect(replies == expected)
      #expect(parser.isEmpty)
    }
  }

  @Test(
    "what is no reply is refused",
    arguments: [
      ("HTTP/1.1 400 Bad Request\r\n", SMTPReplyParser.Broken.noReply), ("\r\n", .noReply), ("25\r\n", .noReply),
      ("199 x\r\n", .noReply), ("650 x\r\n", .noReply), ("250x\r\n", .noReply), ("٢٥٠ x\r\n", .noReply),
      ("250-a\r\n251 b\r\n", .codesDiffer), (String(repeating: "2", count: 3_000), .lineTooLong),
      (String(repeating: "250-a\r\n", count: 200), .tooManyLines),
    ])
  func broken(_ text: String, _ why: SMTPReplyParser.Broken) {
    var parser = SMTPReplyParser()
    #expect(throws: why) { try parser.feed(Array(text.utf8)) }
  }

  @Test("a parser holds what has come of a further reply, and says so")
  func rest() throws {
    var parser = SMTPReplyParser()
    _ = try parser.feed(Array("220 go ahead\r\n250 injected".utf8))
    #expect(!parser.isEmpty)
    var halfway = SMTPReplyParser()
    _ = try halfway.feed(Array("250-more\r\n".utf8))
    #expect(!halfway.isEmpty)
  }

  @Test("a million bytes of anything crash nothing and are never held")
  func fuzz() {
    var random = Seeded(state: 17)
    let alphabet = Array("0123456789 -\r\naZ\u{0}".utf8) + [0xff, 0xc3]
    var (replies, refusals) = (0, 0)
    for _ in 0..<20_000 {
      var parser = SMTPReplyParser()
      let count = Int.random(in: 0...100, using: &random)
      let bytes = (0..<count).map { index -> UInt8 in
        // Often something that begins like a reply, so that the fuzz gets further than the first digit.
        if index % 8 == 0, Bool.random(using: &random) { return UInt8(ascii: "2") }
        return alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
      }
      do {
        for reply in try parser.feed(bytes) {
          replies += 1
          #expect((200..<600).contains(reply.code))
          #expect(!reply.lines.isEmpty && reply.lines.count <= 100)
        }
      } catch {
        refusals += 1
      }
    }
    #expect(replies > 0 && refusals > 1_000)
  }

  // MARK: - Sessions

  static let mail = try? SMTPSession.Mail(
    from: MailAddress.reading("aw@example.com", as: "from"),
    recipients: [MailAddress.reading("a@example.com", as: "to"), MailAddress.reading("b@example.com", as: "to")],
    message: "Subject: x\r\n\r\n.dot\r\n")

  /// Plays the server's replies and gives what the client said, and how it ended.
  static func play(
    _ encryption: EmailForm.Encryption, user: String? = nil, _ replies: [String]
  ) throws -> (said: [String], end: DeliveryOutcome?) {
    let credentials = user.map { (user: $0, password: Secret("p4ssw0rd-sentinel")) }
    var session = SMTPSession(try #require(mail), encryption: encryption, credentials: credentials)
    session.name = "[192.0.2.1]"
    var (said, queue): ([String], [SMTPSession.Action]) = ([], [])
    for text in replies {
      var parser = SMTPReplyParser()
      for reply in try parser.feed(Array((text + "\r\n").utf8)) { queue.append(session.receive(reply)) }
      while !queue.isEmpty {
        switch queue.removeFirst() {
        case .send(let line): said.append(line.replacing("\r\n", with: "⏎"))
        case .startTLS:
          said.append("<TLS>")
          queue.append(session.becamePrivate())
        case .finish(let outcome): return (said, outcome)
        }
      }
    }
    return (said, nil)
  }

  @Test("the whole way: STARTTLS, AUTH PLAIN, two recipients, a stuffed dot")
  func whole() throws {
    let (said, end) = try Self.play(
      .required, user: "aw",
      [
        "220 hi", "250-mail\r\n250-AUTH PLAIN\r\n250 STARTTLS", "220 go", "250-mail\r\n250 AUTH LOGIN PLAIN", "235 ok",
        "250 ok", "250 ok", "251 forwarded", "354 go", "250 2.0.0 queued as 4711",
      ])
    #expect(
      said == [
        "EHLO [192.0.2.1]⏎", "STARTTLS⏎", "<TLS>", "EHLO [192.0.2.1]⏎", "AUTH PLAIN AGF3AHA0c3N3MHJkLXNlbnRpbmVs⏎",
        "MAIL FROM:<aw@example.com>⏎", "RCPT TO:<a@example.com>⏎", "RCPT TO:<b@example.com>⏎", "DATA⏎",
        "Subject: x⏎⏎..dot⏎.⏎",
      ])
    #expect(end == .delivered(detail: "SMTP 250: 2.0.0 queued as 4711"))
  }

  @Test("AUTH LOGIN asks for name and password one after the other")
  func login() throws {
    let (said, end) = try Self.play(
      .implicit, user: "aw", ["220 hi", "250-mail\r\n250 AUTH LOGIN", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"])
    #expect(said.dropFirst() == ["AUTH LOGIN⏎", "YXc=⏎", "cDRzc3cwcmQtc2VudGluZWw=⏎", "MAIL FROM:<aw@example.com>⏎"])
    #expect(end == nil)
  }

  static let ends:
    [(name: String, encryption: EmailForm.Encryption, user: String?, replies: [String], end: DeliveryOutcome)] = [
      ("refused at the door", .off, nil, ["554 no"], .rejected(detail: "SMTP 554: no")),
      ("busy at the door", .off, nil, ["421 later"], .retry(after: nil, detail: "SMTP 421: later")),
      ("EHLO not known", .off, nil, ["220 hi", "502 what"], .rejected(detail: "SMTP 502: what")),
      (
        "no STARTTLS, and a stripped offer is no reason to go on in the clear", .required, "aw",
        ["220 hi", "250 mail"],
        .retry(after: nil, detail: "TLS: the server offers no STARTTLS, and nothing is sent without")
      ),
      (
        "STARTTLS not now", .required, nil, ["220 hi", "250-m\r\n250 STARTTLS", "454 no"],
        .retry(after: nil, detail: "SMTP 454: no")
      ),
      (
        "wrong password; the server repeats it", .implicit, "aw",
        ["220 hi", "250-m\r\n250 AUTH PLAIN", "535 p4ssw0rd-sentinel is wrong"],
        .rejected(detail: "SMTP 535: the server does not take the user name and password")
      ),
      (
        "no way to sign in", .implicit, "aw", ["220 hi", "250-m\r\n250 AUTH CRAM-MD5"],
        .rejected(detail: "the server takes a password in neither way that AW knows (AUTH PLAIN, LOGIN)")
      ),
      ("sender refused", .off, nil, ["220 hi", "250 m", "550 who"], .rejected(detail: "SMTP 550: who")),
      (
        "one recipient refused", .off, nil, ["220 hi", "250 m", "250 ok", "550 no", "250 ok", "354 go", "250 done"],
        .delivered(detail: "1 of 2 recipients were refused; SMTP 250: done")
      ),
      (
        "all refused, one for now", .off, nil, ["220 hi", "250 m", "250 ok", "451 grey", "550 no"],
        .retry(after: nil, detail: "no recipient was taken: SMTP 451: grey")
      ),
      (
        "all refused", .off, nil, ["220 hi", "250 m", "250 ok", "550 no", "550 never"],
        .rejected(detail: "no recipient was taken: SMTP 550: never")
      ),
      (
        "content refused", .off, nil, ["220 hi", "250 m", "250 ok", "250 ok", "250 ok", "354 go", "552 big"],
        .rejected(detail: "SMTP 552: big")
      ),
      (
        "disk full there", .off, nil, ["220 hi", "250 m", "250 ok", "250 ok", "250 ok", "354 go", "452 full"],
        .retry(after: nil, detail: "SMTP 452: full")
      ),
      (
        "out of turn", .off, nil, ["220 hi", "354 go"],
        .retry(after: nil, detail: "the server answered out of turn: SMTP 354: go")
      ),
      (
        "a later reply repeats the password", .implicit, "aw",
        ["220 hi", "250-m\r\n250 AUTH PLAIN", "235 ok", "550 not with p4ssw0rd-sentinel"], .rejected(detail: "SMTP 550")
      ),
    ]

  @Test("a conversation that ends early ends in the right outcome", arguments: ends.indices)
  func early(_ index: Int) throws {
    let example = Self.ends[index]
    let (_, end) = try Self.play(example.encryption, user: example.user, example.replies)
    #expect(end == example.end, "\(example.name)")
  }

  @Test("without TLS no password is ever said, whatever the server offers")
  func neverInTheClear() throws {
    for replies in [["220 hi", "250-m\r\n250-AUTH PLAIN LOGIN\r\n250 X"], ["220 hi", "250-m\r\n250 AUTH=PLAIN"]] {
      for encryption in [EmailForm.Encryption.off, .required] {
        let (said, end) = try Self.play(encryption, user: "aw", replies)
        #expect(said.count == 1)
        #expect(end != nil)
      }
    }
  }
}
