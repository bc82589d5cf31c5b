import Basics
import Foundation

/// A notification as a mail: RFC 5322, with RFC 2047 in its subject and quoted-printable text in UTF-8.
enum MailMessage {
  /// The whole message, with CRLF at the end of each line.
  static func make(_ notification: Notification, _ form: EmailForm, at now: Timestamp) -> String {
    let text = NotificationText(notification: notification)
    let subject = oneLine(form.subject?.render(text.values) ?? text.headline)
      .cut(to: EndpointLimits.mailSubjectCharactersMax)
    let body = form.body?.render(text.values) ?? standardBody(text)
    let id = { (text: String) in "<\(StandardWebhooks.identifier(text))@\(form.from.domain)>" }
    let headers = [
      "Date: \(HTTPDate.mail(now))", "From: <\(form.from)>",
      "To: " + form.recipients.map { "<\($0)>" }.joined(separator: ",\r\n "),
      // The same at every try, so that a mail that came twice can be told to be one.
      "Message-ID: \(id(notification.id))",
      // Mail programs put what has this in common into one thread.
      "References: \(id("group/" + notification.groupKey))", "Subject: \(encodedWords(subject))",
      // RFC 3834: no robot needs to answer.
      "Auto-Submitted: auto-generated", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
      "Content-Transfer-Encoding: quoted-printable",
    ]
    return headers.joined(separator: "\r\n") + "\r\n\r\n" + quotedPrintable(body)
  }

  private static func standardBody(_ text: NotificationText) -> String {
    let alerts = text.notification.alerts
    var parts = alerts.prefix(EndpointLimits.mailAlertsMax).map { text.lines($0).joined(separator: "\n    ") }
    if alerts.count > EndpointLimits.mailAlertsMax {
      parts.append("and \(alerts.count - EndpointLimits.mailAlertsMax) more: see the console")
    }
    return parts.joined(separator: "\n\n") + "\n\nSent by AW, group \(text.notification.groupKey).\n"
  }

  /// Control characters become spaces: a line break in a title must not begin another header.
  static func oneLine(_ text: String) -> String {
    text.unicodeScalars.map {
      $0.properties.generalCategory == .control || $0 == "\u{2028}" || $0 == "\u{2029}" ? " " : String($0)
    }
    .joined().trimmingCharacters(in: .whitespaces)
  }

  /// A header's text: as it is when it is short ASCII, else in words of `=?utf-8?B?…?=`, each of at most 75 characters
  /// and with whole characters in it (RFC 2047 sections 2 and 5).
  static func encodedWords(_ text: String) -> String {
    let isPlain = text.utf8.count <= 60 && text.utf8.allSatisfy { (0x20...0x7e).contains($0) } && !text.contains("=?")
    if isPlain { return text }
    // 45 bytes are 60 characters of base64; with the frame, 72.
    var (words, bytes): ([[UInt8]], [UInt8]) = ([], [])
    for scalar in text.unicodeScalars {
      let next = Array(String(scalar).utf8)
      if bytes.count + next.count > 45 {
        words.append(bytes)
        bytes = []
      }
      bytes += next
    }
    words.append(bytes)
    return words.map { "=?utf-8?B?\(Data($0).base64EncodedString())?=" }.joined(separator: "\r\n ")
  }

  /// RFC 2045 section 6.7: lines of at most 76 characters, CRLF between them and at the end.
  static func quotedPrintable(_ text: String) -> String {
    MailLines.of(text).map { quotedLine($0) + "\r\n" }.joined()
  }

  private static func quotedLine(_ bytes: [UInt8]) -> String {
    var (finished, line) = ("", "")
    for (index, byte) in bytes.enumerated() {
      let isBlank = byte == 0x20 || byte == 0x09
      let isPlain = ((0x21...0x7e).contains(byte) && byte != 0x3d) || (isBlank && index < bytes.count - 1)
      let next = isPlain ? String(UnicodeScalar(byte)) : "=" + Hex.encode([byte]).uppercased()
      // One place is kept for the '=' of a soft break.
      if line.utf8.count + next.utf8.count > 75 {
        finished += line + "=\r\n"
        line = ""
      }
      line += next
    }
    return finished + line
  }
}
