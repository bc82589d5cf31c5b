import Basics

/// What one end saw of a loss. Kept as it is; the class is derived from it.
public struct LossEvidence: Codable, Sendable, Equatable {
  public enum Observer: String, Codable, Sendable {
    case gateway, connector
  }

  /// How far the connection had come.
  public enum Phase: String, Codable, Sendable, CaseIterable {
    case resolving, connecting, handshake, registration, established
  }

  /// What was said before the end: it beats everything that was merely seen.
  public enum Signal: String, Codable, Sendable {
    /// The control plane said that it leaves.
    case drain
    /// The Connector said that it leaves.
    case unregister
    case superseded
    /// The Host may have no link any more.
    case revoked
    /// A message out of turn, or one that cannot be read.
    case protocolViolation
    /// HTTP/2 ended the connection with an error code.
    case goAway
    case shed
    /// It did not end: the path became much worse, see `PathWatch`.
    case pathDegraded
  }

  /// How the socket ended, or why it never began.
  public enum SocketEnd: String, Codable, Sendable {
    /// The far end closed: its process ended, or it meant to.
    case closed
    /// ECONNRESET, EPIPE.
    case reset
    /// ETIMEDOUT: bytes stayed unacknowledged, or the dial got no answer.
    case timedOut
    /// ECONNREFUSED.
    case refused
    /// ENETUNREACH, EHOSTUNREACH, ENETDOWN.
    case unreachable
  }

  /// Why a handshake failed.
  public enum TLSFailure: String, Codable, Sendable {
    case foreignAuthority, expired, notYetValid, wrongUse, closed
    /// Something that is no AW Gateway answered with a certificate of another authority.
    case intercepted
  }

  /// Why a proxy on the Host's way out gave no connection.
  public enum ProxyFailure: String, Codable, Sendable {
    /// It wants other credentials: 407.
    case credentials
    /// It does not allow the address: 403.
    case forbidden
    /// It did not reach the address itself: 502, 503, 504.
    case noWay
    /// It did not answer in time.
    case silent
    /// Another status, or no HTTP.
    case other
  }

  /// What the kernel says of the connection, where it can be asked (Linux: `TCP_INFO`).
  public struct TCP: Codable, Sendable, Equatable {
    /// Segments that were sent and not acknowledged.
    public var unacknowledged: Int
    /// Retransmissions since the connection was made.
    public var retransmitted: Int
    /// Smoothed round trip, in microseconds.
    public var roundTripMicroseconds: Int
    /// Segments that arrived after the ping that nobody answered; nil when the kernel did not say.
    public var heardSincePing: Int?
    /// Bytes that wait to be sent; nil when the kernel did not say.
    public var unsent: Int?

    /// Whether the far kernel has all that this end wants to send.
    var isAllAcknowledged: Bool { unacknowledged == 0 && (unsent ?? 0) == 0 }

    public init(
      unacknowledged: Int, retransmitted: Int, roundTripMicroseconds: Int, heardSincePing: Int? = nil,
      unsent: Int? = nil
    ) {
      self.unacknowledged = unacknowledged
      self.retransmitted = retransmitted
      self.roundTripMicroseconds = roundTripMicroseconds
      self.heardSincePing = heardSincePing
      self.unsent = unsent
    }
  }

  /// Which process of the Connector on which run of the Host's kernel had the link.
  public struct Run: Codable, Sendable, Equatable {
    public var connector: String
    public var kernel: String

    public init(connector: String, kernel: String) {
      self.connector = connector
      self.kernel = kernel
    }
  }

  public var observer: Observer
  /// Which of the Connector's connections it was; nil for all of them.
  public var slot: Int?
  /// Nil when the observer does not know.
  public var run: Run?
  public var phase: Phase
  /// When it was seen, by the observer's clock.
  public var at: Timestamp
  public var signal: Signal?
  public var socket: SocketEnd?
  /// Pings stayed unanswered; nothing had been read for this many milliseconds.
  public var silentMilliseconds: Int64?
  /// How long the link had been registered.
  public var livedMilliseconds: Int64
  public var tcp: TCP?
  public var tls: TLSFailure?
  /// Who the certificate that was shown comes from, by its own words.
  public var issuer: String?
  public var proxy: ProxyFailure?
  /// How far the far end's clock is ahead.
  public var clockSkewMilliseconds: Int64?
  /// The code of a refusal.
  public var refusal: String?
  /// The longest that the observer itself stood still, in the last minute.
  public var stallMilliseconds: Int64
  /// Hosts that lost a connection within the ten seconds before, this one included, and how many had one.
  public var lostTogether: Int
  public var linksBefore: Int
  /// The observer itself ended meanwhile without a goodbye: it saw nothing of the loss.
  public var observerRestarted: Bool
  /// Safe text from below: an error's own words.
  public var detail: String

  public init(
    observer: Observer, slot: Int? = nil, run: Run? = nil, phase: Phase, at: Timestamp, signal: Signal? = nil,
    socket: SocketEnd? = nil, silentMilliseconds: Int64? = nil, livedMilliseconds: Int64 = 0, tcp: TCP? = nil,
    tls: TLSFailure? = nil, clockSkewMilliseconds: Int64? = nil, refusal: String? = nil, stallMilliseconds: Int64 = 0,
    lostTogether: Int = 1, linksBefore: Int = 1, observerRestarted: Bool = false, detail: String = ""
  ) {
    self.observer = observer
    self.slot = slot
    self.run = run
    self.phase = phase
    self.at = at
    self.signal = signal
    self.socket = socket
    self.silentMilliseconds = silentMilliseconds
    self.livedMilliseconds = livedMilliseconds
    self.tcp = tcp
    self.tls = tls
    self.clockSkewMilliseconds = clockSkewMilliseconds
    self.refusal = refusal
    self.stallMilliseconds = stallMilliseconds
    self.lostTogether = lostTogether
    self.linksBefore = linksBefore
    self.observerRestarted = observerRestarted
    self.detail = detail
  }
}

extension LossEvidence {
  /// A dial that nobody got.
  public var isUnreached: Bool { phase == .connecting && (socket == .timedOut || socket == .unreachable) }
}

/// What the Connector tells of the loss when it is back: it decides what one end alone cannot.
public struct PeerAccount: Codable, Sendable, Equatable {
  /// The same process of the Connector as before.
  public var sameConnector: Bool
  /// The same run of the Host's kernel as before.
  public var sameKernel: Bool
  /// What the Connector saw of it; nil when it is a new process, which saw nothing.
  public var seen: LossEvidence?

  public init(sameConnector: Bool, sameKernel: Bool, seen: LossEvidence?) {
    self.sameConnector = sameConnector
    self.sameKernel = sameKernel
    self.seen = seen
  }
}
