import Basics

/// A notification for an incoming webhook of Slack, or of something that understands the same.
enum SlackRequest {
  /// - Parameter url: read from the secret.
  static func make(_ notification: Notification, url: EndpointURL, template: MessageTemplate?) -> DeliveryRequest {
    let text = NotificationText(notification: notification, escape: escape)
    guard let template else { return .json(to: url, standard(text).canonical) }
    let message: JSONValue = [
      "text": .string(cutEscaped(template.render(text.values), to: EndpointLimits.slackTextCharactersMax))
    ]
    return .json(to: url, message.canonical)
  }

  private static func standard(_ text: NotificationText) -> JSONValue {
    let alerts = text.notification.alerts
    var blocks: [JSONValue] = [
      [
        "type": "header",
        "text": [
          "type": "plain_text", "emoji": false,
          "text": .string(text.headline.cut(to: EndpointLimits.slackHeaderCharactersMax)),
        ],
      ]
    ]
    blocks += alerts.prefix(EndpointLimits.slackAlertsMax).map { section(lines($0, text).joined(separator: "\n")) }
    if alerts.count > EndpointLimits.slackAlertsMax {
      blocks.append(section("and \(alerts.count - EndpointLimits.slackAlertsMax) more: see the console"))
    }
    // The text is what a notification on a phone shows, and what is read aloud.
    return [
      "text": .string(cutEscaped(escape(text.headline), to: EndpointLimits.slackTextCharactersMax)),
      "blocks": .array(blocks),
    ]
  }

  private static func lines(_ alert: NotifiedAlert, _ text: NotificationText) -> [String] {
    var lines = text.lines(alert).map(escape)
    lines[0] = "*" + lines[0].replacing("*", with: "∗") + "*"
    return lines
  }

  private static func section(_ text: String) -> JSONValue {
    let cut = cutEscaped(text, to: EndpointLimits.slackSectionCharactersMax)
    return ["type": "section", "text": ["type": "mrkdwn", "text": .string(cut)]]
  }

  /// Slack's three: without them a title could mention everybody (`<!channel>`) or hide a link behind other words.
  static func escape(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }

  /// Cuts, but not in the middle of an escape.
  static func cutEscaped(_ text: String, to count: Int) -> String {
    guard text.count > count else { return text }
    var cut = text.prefix(count - 1)
    if let ampersand = cut.lastIndex(of: "&"), !cut[ampersand...].contains(";") { cut = cut[..<ampersand] }
    return cut + "…"
  }
}
