import Basics

/// The numbers of alerts. Units are in the names.
public enum AlertLimits {
  /// Event types that one matcher may name.
  static let typesMax = 20
  static let textBytesMax = 200
  static let reasonCharactersMax = 500
  static let endpointsMax = 200
  static let routesMax = 200
  /// What a try found, in the delivery log.
  static let detailCharactersMax = 300
  /// Events that are taken in by one transaction.
  static let eventsPerTurnMax = 200
  /// Deliveries under way at once.
  static let sendsMax = 8
  /// How long a control plane may take over one try before another one may make it: longer than any try lasts.
  static let lease = EndpointLimits.deliveryWithin * 1.5
  /// Alerts of one notification; more come in the next one.
  static let alertsPerNotificationMax = 500
  /// How long what is over stays to be looked at.
  static let keepFor = Duration.seconds(30 * 86_400)
  /// How long events stay in the outbox for streams that resume.
  static let eventsKeptFor = Duration.seconds(7 * 86_400)
  /// The longest silence.
  static let silenceMax = Duration.seconds(90 * 86_400)
}
