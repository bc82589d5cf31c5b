import Basics

/// Everything that travels on the control stream, as one JSON object per frame.
public enum ControlMessage: Codable, Sendable, Equatable {
  /// The Connector's first word: who it is and what it knows of the link before this one.
  case hello(Hello)
  /// The AW Gateway's answer: the link is routed.
  case registered(Registered)
  /// The AW Gateway's other answer: no, why, and when to ask again.
  case refused(Refused)
  /// The Connector asks for a new certificate (PEM signing request).
  case renew(signingRequest: String)
  /// The new certificate and the authorities to trust (PEM).
  case certificate(CertificateBundle)
  /// The authorities to trust from now on. Only to a Connector whose Hello told which ones it trusts.
  case trust(TrustOrder)
  /// The Connector has made such an order its own.
  case trusting(TrustReport)
  /// The link will end when what is under way on it has: dial the next one within the spread.
  case drain(reason: DrainReason, spreadMilliseconds: Int64)
  /// The Connector leaves on purpose.
  case unregister(reason: String)
  /// The Connector has put another connection in the place of this one, at another AW Gateway.
  case moved
  /// The Connector tells how its Instances are. Only to an AW Gateway that asked for it when it registered the link.
  case heartbeat(Heartbeat)
  /// The Connector asks for secrets of an Instance. Only to an AW Gateway that said that it resolves them.
  case resolve(SecretQuestion)
  /// The AW Gateway tells of all that there are, itself included: after REGISTERED, and when they change.
  case gateways([GatewayAddress])
}

/// One AW Gateway of those that serve the same fleet.
public struct GatewayAddress: Codable, Sendable, Hashable {
  /// Names the control plane.
  public var node: String
  public var address: String
  public var port: Int

  public init(node: String, address: String, port: Int) {
    self.node = node
    self.address = address
    self.port = port
  }

  /// Reads `ADDRESS:PORT`; an IPv6 address stands in brackets. Nil for anything else.
  public init?(node: String, text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (1...65_535).contains(port)
    else { return nil }
    let address = text[..<colon].filter { $0 != "[" && $0 != "]" }
    guard !address.isEmpty else { return nil }
    self.init(node: node, address: address, port: port)
  }
}

/// Why the AW Gateway ends a link that works.
public enum DrainReason: String, Codable, Sendable {
  case restart
  /// Another Connector with this Host's identity took the slot.
  case superseded
  /// The link is to be made anew. It serves until the next one is there.
  case refresh
}

/// The Connector's introduction.
public struct Hello: Codable, Sendable, Equatable {
  public var version: Int
  /// Names this run of the Connector.
  public var boot: String
  /// Names this run of the Host's kernel.
  public var hostBoot: String
  /// Which of the Connector's connections this is, counted from 0.
  public var slot: Int
  /// How many connections the Connector means to keep; nil for one.
  public var connections: Int?
  /// Grows with every dial of this Host and slot; a newer one wins at once.
  public var epoch: Int64
  public var program: String
  /// The Host's time, to tell a wrong clock from a bad certificate.
  public var clock: Timestamp
  /// What this Connector saw of the end of the link before this one in the slot; nil for its first.
  public var previousLoss: LossEvidence?
  public var runtimes: [RuntimeAvailability]
  /// Which authorities it trusts; nil for a Connector that cannot be told of others, nor asked for another connection.
  public var trust: TrustReport?

  public init(
    version: Int = LinkProtocol.version, boot: String, hostBoot: String, slot: Int, connections: Int? = nil,
    epoch: Int64, program: String, clock: Timestamp, previousLoss: LossEvidence?, runtimes: [RuntimeAvailability],
    trust: TrustReport? = nil
  ) {
    self.version = version
    self.boot = boot
    self.hostBoot = hostBoot
    self.slot = slot
    self.connections = connections
    self.epoch = epoch
    self.program = program
    self.clock = clock
    self.previousLoss = previousLoss
    self.runtimes = runtimes
    self.trust = trust
  }
}

/// What the AW Gateway asks of a Connector that it has routed.
public struct Registered: Codable, Sendable, Equatable {
  public var connection: String
  /// How long to wait, at random, before dialling again when the AW Gateway restarts.
  public var reconnectSpreadMilliseconds: Int64
  public var certificateNotAfter: Timestamp
  /// How often the Connector is to tell of all its Instances; nil asks for nothing.
  public var heartbeatMilliseconds: Int64?
  /// Names the control plane, so that a Connector sees whether two of its connections end at the same one.
  public var node: String?
  /// Whether the control plane can be asked for secrets of Instances; nil for one that does not know the question.
  public var resolvesSecrets: Bool?

  public init(
    connection: String, reconnectSpreadMilliseconds: Int64, certificateNotAfter: Timestamp,
    heartbeatMilliseconds: Int64? = nil, node: String? = nil, resolvesSecrets: Bool? = nil
  ) {
    self.connection = connection
    self.reconnectSpreadMilliseconds = reconnectSpreadMilliseconds
    self.certificateNotAfter = certificateNotAfter
    self.heartbeatMilliseconds = heartbeatMilliseconds
    self.node = node
    self.resolvesSecrets = resolvesSecrets
  }
}

/// A refusal with its code, safe text, and whether asking again can help.
public struct Refused: Codable, Sendable, Equatable {
  public var code: String
  public var message: String
  public var next: String
  /// When set, the epoch that the AW Gateway knows: dial again with a greater one.
  public var epochKnown: Int64?
  /// False: do not ask again before a person changed something (the Connector waits minutes, not seconds).
  public var retry: Bool

  public init(code: String, message: String, next: String, epochKnown: Int64? = nil, retry: Bool) {
    self.code = code
    self.message = message
    self.next = next
    self.epochKnown = epochKnown
    self.retry = retry
  }

  public init(_ error: AWError, epochKnown: Int64? = nil, retry: Bool) {
    self.init(
      code: error.code.id, message: error.message, next: error.next, epochKnown: epochKnown, retry: retry)
  }
}

/// A certificate with the authorities that its holder must trust, all PEM.
public struct CertificateBundle: Codable, Sendable, Equatable {
  public var certificate: String
  public var authorities: [String]
  public var notAfter: Timestamp

  public init(certificate: String, authorities: [String], notAfter: Timestamp) {
    self.certificate = certificate
    self.authorities = authorities
    self.notAfter = notAfter
  }
}

/// What a machine sends to become a Host.
public struct EnrolmentRequest: Codable, Sendable {
  public var token: String
  public var signingRequest: String
  public var program: String
  public var clock: Timestamp
  /// The machine's own name, shown beside the one the operator chose.
  public var machine: String

  public init(token: String, signingRequest: String, program: String, clock: Timestamp, machine: String) {
    self.token = token
    self.signingRequest = signingRequest
    self.program = program
    self.clock = clock
    self.machine = machine
  }
}

public enum EnrolmentReply: Codable, Sendable {
  case granted(EnrolmentGrant)
  case refused(Refused)
}

public struct EnrolmentGrant: Codable, Sendable {
  public var host: HostID
  public var slug: Slug
  public var bundle: CertificateBundle

  public init(host: HostID, slug: Slug, bundle: CertificateBundle) {
    self.host = host
    self.slug = slug
    self.bundle = bundle
  }
}
