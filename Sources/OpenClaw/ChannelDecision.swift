/// Whether a channel is switched on in an Instance's configuration, and why not: a pure decision.
public struct ChannelDecision: Sendable, Equatable, Codable {
  /// `telegram`.
  public let channel: String
  public let isOn: Bool
  /// Why it is switched off, as the end of a sentence; nil when it is on.
  public let reason: String?

  /// The credentials without which a channel does not connect, in the mode that OpenClaw uses unless it is told another
  /// one: Slack's is socket mode, which takes a token of the app beside that of the bot.
  static let needs = [
    "discord": ["token"], "googlechat": ["serviceAccount"], "matrix": ["accessToken"], "msteams": ["appPassword"],
    "slack": ["botToken", "appToken"], "sms": ["authToken"], "telegram": ["botToken"],
  ]

  /// One for each channel that has a credential, by name. A channel is switched on when all its credentials are there
  /// and none of them has a hindrance.
  public static func decide(_ secrets: [InstanceConfiguration.Collected]) -> [ChannelDecision] {
    let given = secrets.compactMap { secret in secret.channel.map { ($0.name, $0.key, secret.hindrance) } }
    return Dictionary(grouping: given) { $0.0 }.sorted { $0.key < $1.key }.map { channel, keys in
      let missing = (needs[channel] ?? []).filter { key in !keys.contains { $0.1 == key } }
      let reason =
        needs[channel] == nil
        ? "AW does not know what it needs"
        : keys.compactMap { $0.2 }.first ?? missing.first.map { "it needs channels.\(channel).\($0) too" }
      return ChannelDecision(channel: channel, isOn: reason == nil, reason: reason)
    }
  }
}
