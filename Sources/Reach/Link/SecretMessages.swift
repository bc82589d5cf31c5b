import Basics

/// What a Connector asks the control plane on behalf of an Instance that wants its secrets. It travels on the control
/// stream; the answer comes as a `RuntimeCall` on a stream of its own, because it may be large.
public struct SecretQuestion: Codable, Sendable, Equatable {
  /// Names the question among those of one run of the Connector.
  public var number: Int64
  public var instance: InstanceID
  /// Ids of SecretRefs, as OpenClaw asks for them.
  public var ids: [String]

  public init(number: Int64, instance: InstanceID, ids: [String]) {
    self.number = number
    self.instance = instance
    self.ids = ids
  }
}

/// The control plane's answer. An id that is in neither list could not be read now.
public struct SecretAnswer: Codable, Sendable {
  public var number: Int64
  public var values: InstanceEnvironment
  /// Ids that mean nothing to this Instance: nobody knows them, or another Org's.
  public var absent: [String]

  public init(number: Int64, values: [String: Secret], absent: [String]) {
    self.number = number
    self.values = InstanceEnvironment(values)
    self.absent = absent
  }
}

/// Ids of secrets that are one Instance's own, and not its Org's: `instance/<id>/gateway-token`.
public enum InstanceSecretID {
  /// The token of its OpenClaw Gateway, the only one that it may resolve.
  public static func gatewayToken(of instance: InstanceID) -> String { "instance/\(instance)/gateway-token" }

  /// The Instance whose secret an id names; nil for what is no Instance's own.
  public static func instance(of id: String) -> InstanceID? {
    let parts = id.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    return parts.count == 3 && parts[0] == "instance" ? InstanceID(parts[1]) : nil
  }
}

/// The numbers of resolving secrets that both ends share.
public enum SecretLimits {
  /// Ids in one request of OpenClaw.
  public static let idsMax = 512
  /// A request of OpenClaw. Written as JSON in the worst way, its ids still fit into a reply.
  public static let requestBytesMax = 128 << 10
  /// OpenClaw's own default for a provider's output.
  public static let replyBytesMax = 1 << 20
  /// Values in one answer of the control plane, together.
  public static let answerBytesMax = 2 << 20
  /// For so long a value is given out without asking again.
  public static let freshFor = Duration.seconds(15 * 60)
  /// For so long a value is given out when the control plane cannot be asked.
  public static let keptFor = Duration.seconds(24 * 3_600)
  /// For so long an id that means nothing is not asked for again.
  public static let absentFor = Duration.seconds(60)
  /// A clock that was set back by more than this makes every value too old.
  public static let clockBackMax = Duration.seconds(300)
  /// How long a Connector waits for the control plane: `aw secret-exec` ends after 3.8 s, OpenClaw gives it 5.
  public static let answerWithin = Duration.seconds(2.5)
  /// How long the program may take to send its request.
  public static let requestWithin = Duration.seconds(3)
  /// Ids that one Instance may make the Connector ask for: at once, and per second after that.
  public static let asksBurst = 256.0
  public static let asksPerSecond = 1.0
  /// Requests of one Instance that are under way at once.
  public static let requestsPerInstanceMax = 64
  /// Questions of one Host that a control plane works on at once.
  public static let questionsPerLinkMax = 16
}
