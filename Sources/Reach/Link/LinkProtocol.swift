import Basics
import NIOCore
import NIOHTTP2

/// The wire that a Connector and the AW Gateway share.
///
/// The Connector dials TCP, then TLS 1.3 with mutual authentication, offering one private protocol name; then it is
/// the HTTP/2 *server* and the AW Gateway the client. Streams are CONNECT requests that name a `LinkTarget`.
public enum LinkProtocol {
  /// The protocol name of a link. Offered alone, so that anything else on the port fails at TLS.
  public static let link = "aw-link/1"
  /// The protocol name of enrolment: same port, no client certificate yet.
  public static let enrolment = "aw-enrol/1"
  /// The server name that the AW Gateway's certificate carries, whatever address it is reached at.
  public static let gatewayName = "gateway.aw.internal"
  /// The version of the control messages. A peer with another one is refused with an explanation.
  public static let version = 1
}

/// The numbers of the link. Units are in the names; sources are the measurements behind the design.
public enum LinkLimits {
  /// Connections of one Connector.
  public static let connectionsMax = 4
  public static let connectionsDefault = 2
  /// The second connection is dialled so long after the first, at random: a fleet that comes back brings its first
  /// ones before any second one.
  public static let spacing: ClosedRange<Double> = 1...3
  /// A connection that is missing for longer than this is told: the Connector dials again every 20 s at least.
  public static let shortageToldAfter = Duration.seconds(60)
  /// A connection is made anew at this age, give or take the share: so that its certificate is looked at again, and
  /// connections spread over the AW Gateways there are by then.
  public static let connectionAgeMax = Duration.seconds(12 * 3_600)
  public static let connectionAgeShare = 0.1
  public static let agesLookedAtEvery = Duration.seconds(60)
  /// How often an AW Gateway looks whether handshakes left memory that nobody needs.
  public static let freedMemoryLookedAtEvery = Duration.seconds(4)
  /// How long streams that are under way may take when one side leaves.
  public static let drainGrace = Duration.seconds(30)
  public static let streamsPerLinkMax = 256
  /// The rate that one stream may reach on any round trip up to 40 ms; beyond that the largest window limits it.
  public static let streamBytesPerSecond = 100 << 20
  public static let streamWindowBytesMin = 512 * 1024
  public static let streamWindowBytesMax = 4 << 20
  /// The window of a connection, in windows of its streams.
  public static let connectionWindows = 4
  public static let frameBytesMax = 65_536
  /// What arrives in pieces up to this size is copied, see `FrameAligner`.
  static let copiedBytesMax = 4_096
  /// The library sets memory aside for as many events as its limits of rates allow, per connection and for each limit.
  /// So these are small numbers within short times: all streams reset twice over, and 67 control frames a second.
  static let resetsMax = streamsPerLinkMax * 2
  static let resetsWindow = TimeAmount.milliseconds(100)
  static let controlFramesMax = 200
  static let controlFramesWindow = TimeAmount.seconds(3)
  /// What one read takes at most.
  public static let readBytesMax = 262_144
  /// What the kernel holds of a connection that is not on the wire yet: what comes after it can be a small request.
  public static let unsentBytesMax = 131_072
  public static let outboundHighWatermarkBytes = 256 * 1024
  public static let outboundLowWatermarkBytes = 64 * 1024
  /// Bytes that arrived and that nobody has taken yet, and bytes that are to be sent and not on their way yet: of one
  /// Connector, and of all of an AW Gateway. Beyond that streams are given up, those that hold much and are new first.
  public static let bufferedBytesPerConnectorMax = 32 << 20
  public static let bufferedBytesMax = 256 << 20
  /// A stream that holds less is no bulk: it is given up only when a limit is exceeded by a quarter.
  public static let bulkBytesMin = frameBytesMax
  public static let messageBytesMax = 4 << 20
  /// Instances that one heartbeat tells of: about 20 KiB.
  public static let heartbeatInstancesMax = 500
  /// A heartbeat fills a packet of Ethernet (1,500 bytes), so that a path that swallows only large ones is noticed
  /// while nothing else is sent.
  public static let heartbeatBytesMin = 1_500
  public static let targetDialTimeout = Duration.seconds(2)
  public static let dialTimeout = Duration.seconds(4)
  /// A proxy's answer, its own dial included.
  public static let proxyTimeout = Duration.seconds(4)
  public static let proxyHeadBytesMax = 16 * 1024
  public static let handshakeTimeout = Duration.seconds(4)
  /// Handshakes that go on at once, some 500 a second on two cores; those that wait for their turn, beside as many that
  /// the kernel keeps: all of them within what a Connector waits.
  public static let handshakesMax = 128
  public static let handshakesWaitingMax = 512
  /// A handshake that takes longer gives its place up to another one: the far end is far away, or gone.
  public static let handshakeTurnMax = Duration.milliseconds(500)
  /// What a connection may send before it is answered.
  public static let handshakeHeldBytesMax = 16 * 1024
  public static let registrationTimeout = Duration.seconds(4)
  /// How long the end of a link waits for the far end's own: the library's five seconds would make every silent link
  /// live so much longer.
  public static let tlsShutdownTimeout = TimeAmount.milliseconds(250)
  /// Links lost within this time may have one cause.
  public static let lostTogetherWithin = Duration.seconds(10)
  /// How long a Connector that leaves waits for the AW Gateway to read its goodbye.
  public static let farewellMax = Duration.seconds(1)
  /// Bytes that stay unacknowledged end the connection when none of them moved for this time, on both ends: pings may
  /// pass where what is larger is swallowed.
  static let unacknowledgedMax = Duration.seconds(10)
  public static let keepaliveIdleSeconds = 15
  public static let keepaliveIntervalSeconds = 5
  public static let keepaliveProbes = 3
  /// Clocks further apart than this are refused by name instead of failing as a bad certificate later.
  public static let clockSkewMax = Duration.seconds(300)
}

/// What a stream may reach on a Host. The list is closed, and the Connector enforces it: no address is ever named on
/// the wire.
public enum LinkTarget: Sendable, Hashable {
  /// The control stream: opened once by the AW Gateway, right after the preface.
  case control
  /// One call to the Host's runtimes.
  case runtime
  /// The port of one Instance: OpenClaw's Gateway WebSocket and its HTTP probes.
  case openClaw(InstanceID)

  private static let openClawPrefix = "openclaw/"

  /// The text of the CONNECT request's `:authority`.
  public var authority: String {
    switch self {
    case .control: "control"
    case .runtime: "runtime"
    case .openClaw(let instance): LinkTarget.openClawPrefix + instance.text
    }
  }

  public init?(authority: String) {
    switch authority {
    case "control": self = .control
    case "runtime": self = .runtime
    default:
      guard authority.hasPrefix(LinkTarget.openClawPrefix),
        let instance = InstanceID(String(authority.dropFirst(LinkTarget.openClawPrefix.count)))
      else { return nil }
      self = .openClaw(instance)
    }
  }
}

/// Why the Connector did not connect a stream. Travels in the `aw-fail` header, so that "the service on the Host is
/// down" is never taken for "the link is down".
public enum TargetFailure: String, Sendable, Codable, CaseIterable {
  case refused
  case timeout
  case permission
  case notFound = "not-found"
  case limit
  case draining

  public static let header = "aw-fail"

  /// The class of what a stream met; nil for what is no fault.
  public var lossClass: LossClass? {
    switch self {
    case .refused, .timeout: .localTargetDown
    case .limit: .backpressureShed
    case .permission, .notFound, .draining: nil
    }
  }

  /// What a person reads about it.
  public var explanation: String {
    switch self {
    case .refused: "nothing listens on the Instance's port on its Host"
    case .timeout: "the Instance's port on its Host did not answer within 2 s"
    case .permission: "the Host's Connector may not reach that target"
    case .notFound: "the Host does not know that Instance"
    case .limit: "the link carries \(LinkLimits.streamsPerLinkMax) streams already"
    case .draining: "the Host's Connector is shutting down"
    }
  }
}

/// A stream that the far end answered with anything but 200.
public struct TargetRefused: ExplainedError, Sendable, Equatable {
  public let failure: TargetFailure
  public init(_ failure: TargetFailure) { self.failure = failure }

  public var explained: AWError {
    AWError(
      .targetRefused, "The Host refused the stream: \(failure.explanation).",
      next: "Look at the Instance's state on its Host.")
  }
}

extension NIOHTTP2Handler.Configuration {
  /// The link's HTTP/2 settings.
  ///
  /// The library's defaults do not fit a link that lives for days between two authenticated peers: 64 KiB windows cap
  /// a stream at 1.5 MiB/s over 40 ms; `maximumConnectionGlitches` counts stream errors for the life of the
  /// connection and kills it at the 200th; 200 resets within 30 s (one busy page reload) do the same, and two empty
  /// frames in a row, as two streams that end at once may send them. What is still on its way to a stream that was cut
  /// off is ignored for the last 32 of those only: afterwards it ends the connection.
  ///
  /// - Parameter streamWindowBytes: see `LinkWindow`.
  public static func link(streamWindowBytes: Int) -> Self {
    var configuration = NIOHTTP2Handler.Configuration()
    configuration.connection.initialSettings = [
      HTTP2Setting(parameter: .maxConcurrentStreams, value: LinkLimits.streamsPerLinkMax),
      HTTP2Setting(parameter: .maxHeaderListSize, value: 16 * 1024),
      HTTP2Setting(parameter: .initialWindowSize, value: streamWindowBytes),
      HTTP2Setting(parameter: .maxFrameSize, value: LinkLimits.frameBytesMax),
    ]
    configuration.connection.targetWindowSize = streamWindowBytes * LinkLimits.connectionWindows
    configuration.connection.maximumConnectionGlitches = Int.max
    configuration.connection.maximumRecentlyResetStreams = LinkLimits.streamsPerLinkMax
    configuration.connection.maximumSequentialEmptyDataFrames = LinkLimits.streamsPerLinkMax * 2
    configuration.connection.controlFrameRateLimit.maximumCount = LinkLimits.controlFramesMax
    configuration.connection.controlFrameRateLimit.windowLength = LinkLimits.controlFramesWindow
    configuration.stream.targetWindowSize = streamWindowBytes
    configuration.stream.outboundBufferSizeHighWatermark = LinkLimits.outboundHighWatermarkBytes
    configuration.stream.outboundBufferSizeLowWatermark = LinkLimits.outboundLowWatermarkBytes
    configuration.stream.streamResetFrameRateLimit.maximumCount = LinkLimits.resetsMax
    configuration.stream.streamResetFrameRateLimit.windowLength = LinkLimits.resetsWindow
    configuration.stream.streamErrorRateLimit.maximumCount = LinkLimits.resetsMax
    configuration.stream.streamErrorRateLimit.windowLength = LinkLimits.resetsWindow
    return configuration
  }
}
