/// How long a delivery waits for what.
struct DeliveryTimes: Sendable {
  var connect = EndpointLimits.connectWithin
  var answer = EndpointLimits.answerWithin
  var whole = EndpointLimits.deliveryWithin
}

/// What a delivery may be and may take.
public enum EndpointLimits {
  /// For one answer: of an HTTP request, a line of SMTP, a command (Standard Webhooks: 15 to 30 s).
  public static let answerWithin = Duration.seconds(15)
  /// For a whole delivery, which may need several requests. A lease on a delivery must last longer.
  public static let deliveryWithin = Duration.seconds(60)
  static let connectWithin = Duration.seconds(5)
  /// Addresses of one name that are tried, one after the other.
  static let addressesMax = 3
  static let urlBytesMax = 2_048
  /// Standard Webhooks asks for less than 20 kB.
  static let webhookBodyBytesMax = 20_000 - 1
  /// Alertmanager has no limit of its own; proxies before it have (nginx: 1 MB).
  static let alertmanagerBodyBytesMax = 500_000
  /// PagerDuty's own limit is 512 KB for an event.
  static let pagerDutyBodyBytesMax = 500_000
  static let pagerDutySummaryCharactersMax = 1_024
  static let pagerDutyKeyCharactersMax = 255
  /// Slack's own limits: 50 blocks, 3,000 characters in a section, 150 in a header.
  static let slackAlertsMax = 40
  static let slackSectionCharactersMax = 3_000
  static let slackHeaderCharactersMax = 150
  static let slackTextCharactersMax = 4_000
  /// Alerts that a mail spells out; the rest is counted.
  static let mailAlertsMax = 200
  static let mailRecipientsMax = 50
  static let mailSubjectCharactersMax = 200
  static let templateCharactersMax = 20_000
  static let labelsMax = 30
  /// Of what an endpoint answered, this much is kept for the delivery log.
  static let excerptCharactersMax = 200
  static let answerBytesMax = 16 * 1_024
  /// Of what a command printed, this much is kept.
  static let commandOutputBytesMax = 1_024
  static let commandArgumentsMax = 20
  /// RFC 5321 section 4.5.3.1.5: 512 for a reply line. Real servers send longer ones.
  static let smtpLineBytesMax = 2_048
  static let smtpReplyLinesMax = 100
  /// An open alert that is not told again ends at an Alertmanager after this: three times AW's own repeat of 4 h.
  static let alertmanagerOpenFor = Duration.seconds(12 * 3_600)
  /// A Retry-After beyond this is cut.
  static let retryAfterMax = Duration.seconds(24 * 3_600)
}
