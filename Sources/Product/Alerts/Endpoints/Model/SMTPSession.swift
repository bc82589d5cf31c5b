import Basics
import Foundation

/// The conversation with a mail server that hands over one mail.
///
/// | state | on a positive reply | becomes |
/// | --- | --- | --- |
/// | `greeting` | says EHLO | `hello` |
/// | `hello`, in the clear and TLS wanted | says STARTTLS | `starting` |
/// | `starting` | begins TLS, then EHLO again | `hello` |
/// | `hello`, private, a user given | says AUTH | `authenticating`, or `user` and `password` |
/// | `hello`, or authenticated | says MAIL | `sender` |
/// | `sender` | says RCPT | `recipients` |
/// | `recipients` | RCPT for the next; after the last DATA when one was taken | `data` |
/// | `data` | sends the mail | `content` |
/// | `content` | delivered, says QUIT | `ended` |
///
/// A 4xx anywhere ends in a retry, a 5xx in a refusal; of recipients only when all were refused.
struct SMTPSession: Sendable {
  enum Action: Equatable, Sendable {
    case send(String)
    case startTLS
    case finish(DeliveryOutcome)
  }

  struct Mail: Sendable {
    let from: MailAddress
    let recipients: [MailAddress]
    let message: String
  }

  private enum State {
    case greeting, hello, starting, user, password, authenticating, sender, recipients, data, content, ended
  }

  private let mail: Mail
  private let encryption: EmailForm.Encryption
  private let credentials: (user: String, password: Secret)?
  /// How this side calls itself: an address in brackets (RFC 5321 section 4.1.3), because it may have no name.
  var name = "[127.0.0.1]"
  private var state = State.greeting
  private var isPrivate: Bool
  private var asked = 0
  private var refusals: [SMTPReply] = []

  init(_ mail: Mail, encryption: EmailForm.Encryption, credentials: (user: String, password: Secret)?) {
    self.mail = mail
    self.encryption = encryption
    self.credentials = credentials
    isPrivate = encryption == .implicit
  }

  /// TLS stands: everything that the server said before is forgotten (RFC 3207 section 4.2).
  mutating func becamePrivate() -> Action {
    isPrivate = true
    return greet()
  }

  mutating func receive(_ reply: SMTPReply) -> Action {
    // 421 may come at any time: the server closes.
    guard reply.code != 421 else { return end(.retry(after: nil, detail: detail(reply))) }
    switch state {
    case .greeting: return reply.code == 220 ? greet() : refuse(reply)
    case .hello: return reply.code == 250 ? heard(reply) : refuse(reply)
    case .starting: return reply.code == 220 ? .startTLS : refuse(reply)
    case .user: return reply.code == 334 ? say(base64(credentials?.user ?? ""), .password) : refuseSignIn(reply)
    case .password:
      let password = credentials?.password.withText { base64($0) } ?? ""
      return reply.code == 334 ? say(password, .authenticating) : refuseSignIn(reply)
    case .authenticating: return reply.code == 235 ? begin() : refuseSignIn(reply)
    case .sender: return reply.code == 250 ? askNext() : refuse(reply)
    case .recipients: return answered(reply)
    case .data:
      guard reply.code == 354 else { return refuse(reply) }
      state = .content
      return .send(SMTPContent.onWire(mail.message))
    case .content: return reply.code == 250 ? delivered(reply) : refuse(reply)
    case .ended: return .finish(.retry(after: nil, detail: "the server spoke after the end"))
    }
  }

  // MARK: - Steps

  private mutating func greet() -> Action { say("EHLO \(name)", .hello) }

  private mutating func heard(_ reply: SMTPReply) -> Action {
    let offers = reply.lines.dropFirst().map { $0.uppercased() }
    if encryption == .required, !isPrivate {
      guard offers.contains("STARTTLS") else {
        // Somebody in between can take the offer out, so this is not the server's last word.
        return end(.retry(after: nil, detail: "TLS: the server offers no STARTTLS, and nothing is sent without"))
      }
      return say("STARTTLS", .starting)
    }
    guard let credentials else { return begin() }
    // Without TLS no form has credentials; this makes it impossible to send them all the same.
    guard isPrivate else { return end(.rejected(detail: "a password is not sent without TLS")) }
    let mechanisms = offers.filter { $0.hasPrefix("AUTH ") || $0.hasPrefix("AUTH=") }
      .flatMap { $0.dropFirst(5).split(separator: " ") }
    if mechanisms.contains("PLAIN") {
      let token = credentials.password.withText { base64("\0\(credentials.user)\0\($0)") }
      return say("AUTH PLAIN \(token)", .authenticating)
    }
    if mechanisms.contains("LOGIN") { return say("AUTH LOGIN", .user) }
    return end(.rejected(detail: "the server takes a password in neither way that AW knows (AUTH PLAIN, LOGIN)"))
  }

  private mutating func begin() -> Action { say("MAIL FROM:<\(mail.from)>", .sender) }

  private mutating func askNext() -> Action {
    guard asked < mail.recipients.count else {
      if refusals.count < mail.recipients.count { return say("DATA", .data) }
      let reply = refusals.first(where: \.isTransient) ?? refusals.last ?? SMTPReply(code: 550, lines: [])
      return refuse(reply, prefix: "no recipient was taken: ")
    }
    asked += 1
    return say("RCPT TO:<\(mail.recipients[asked - 1])>", .recipients)
  }

  private mutating func answered(_ reply: SMTPReply) -> Action {
    if reply.code != 250, reply.code != 251 { refusals.append(reply) }
    return askNext()
  }

  private mutating func delivered(_ reply: SMTPReply) -> Action {
    let missed = refusals.isEmpty ? "" : "\(refusals.count) of \(mail.recipients.count) recipients were refused; "
    return end(.delivered(detail: missed + detail(reply)))
  }

  private mutating func refuse(_ reply: SMTPReply, prefix: String = "") -> Action {
    let detail = prefix + detail(reply)
    if reply.isPositive { return end(.retry(after: nil, detail: "the server answered out of turn: \(detail)")) }
    return end(reply.isTransient ? .retry(after: nil, detail: detail) : .rejected(detail: detail))
  }

  /// Without the server's words, which may repeat what it was sent.
  private mutating func refuseSignIn(_ reply: SMTPReply) -> Action {
    let detail = "SMTP \(reply.code): the server does not take the user name and password"
    return end(reply.isTransient ? .retry(after: nil, detail: detail) : .rejected(detail: detail))
  }

  private mutating func say(_ line: String, _ next: State) -> Action {
    state = next
    return .send(line + "\r\n")
  }

  private mutating func end(_ outcome: DeliveryOutcome) -> Action {
    state = .ended
    return .finish(outcome)
  }

  private func detail(_ reply: SMTPReply) -> String {
    let secrets = credentials.map { credentials in
      [credentials.password, Secret(credentials.password.withText { base64("\0\(credentials.user)\0\($0)") })]
    }
    let text = Excerpt.of(reply.lines.joined(separator: " "), without: secrets ?? [])
    return "SMTP \(reply.code)" + (text.map { ": " + $0 } ?? "")
  }

  private func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
}
