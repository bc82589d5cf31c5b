import Basics

/// What was measured of a connection since the look before.
public struct PathSample: Sendable, Equatable {
  /// Nil when nothing was measured, or when the path was loaded: what is sent in bulk waits behind itself.
  public var roundTrip: Duration?
  /// Segments that were sent, and how many of them again; zero when the path was loaded: a bulk transfer loses segments
  /// of its own doing, and from here that looks the same.
  public var sent: Int
  public var sentAgain: Int

  /// A loaded path's.
  public static let loaded = PathSample(roundTrip: nil, sent: 0, sentAgain: 0)

  public init(roundTrip: Duration?, sent: Int, sentAgain: Int) {
    self.roundTrip = roundTrip
    self.sent = sent
    self.sentAgain = sentAgain
  }
}

/// Tells whether a path that still works has become much worse than it was (the gray failure: pings pass): a value,
/// without a clock. It is given a sample every `PathPolicy.every`.
///
/// | state | sample | next | verdict |
/// |---|---|---|---|
/// | fine | bad, `run` times without a good one between | degraded | degraded |
/// | fine | good | fine, counting anew | - |
/// | degraded | good, `run` times without a bad one between | fine | recovered |
/// | degraded | bad | degraded, counting anew | - |
/// | degraded | for longer than `normalAfter` | fine, with what is measured now as the normal | recovered |
///
/// A sample is *bad* when its round trip is more than four times the normal one and 50 ms above it, or when more
/// segments were sent again than a loss of one in a hundred can explain and more than one in fifty. It is *good* when
/// its round trip is back within twice the normal one, or within half of those 50 ms. Every other sample says nothing:
/// one of a loaded path, one between the two bounds. The normal round trip is the median of what was good within about
/// an hour, so that a path that is always uneven is not measured by its best moment.
public struct PathWatch: Sendable, Equatable {
  public enum Verdict: Sendable, Equatable {
    case degraded(PathFault)
    case recovered
  }

  enum Judgement: Sendable, Equatable {
    case good, silent
    case bad(PathFault)
  }

  private let policy: PathPolicy
  /// Good round trips, in microseconds: the first ones as they come, then one of every `thinning`.
  private var normals: [UInt32] = []
  /// The normal round trip; nil while too few were measured to tell.
  private(set) var normal: Duration?
  private var position = 0
  private var goods = 0
  /// How many samples in a row speak against the state.
  private var run = 0
  /// Why it is degraded; nil when it is not. And for how many samples it has been.
  public private(set) var fault: PathFault?
  private var lasted = 0

  public init(_ policy: PathPolicy = PathPolicy()) { self.policy = policy }

  /// The connection is gone: what was normal stays for the next one.
  ///
  /// - Returns: whether it was degraded.
  public mutating func end() -> Bool {
    defer { (run, fault, lasted) = (0, nil, 0) }
    return fault != nil
  }

  func judge(_ sample: PathSample) -> Judgement {
    let again = policy.againMax(of: sample.sent)
    if sample.sentAgain > again {
      return .bad(.retransmissions(sentAgain: sample.sentAgain, of: sample.sent, max: again))
    }
    guard let roundTrip = sample.roundTrip, let normal else { return .silent }
    if roundTrip > max(normal * policy.factor, normal + policy.riseMin) {
      return .bad(.roundTrip(roundTrip, normal: normal))
    }
    return roundTrip <= max(normal * 2, normal + policy.riseMin / 2) ? .good : .silent
  }

  public mutating func take(_ sample: PathSample) -> Verdict? {
    let judgement = judge(sample)
    guard fault == nil else { return whileDegraded(judgement) }
    switch judgement {
    case .bad(let fault):
      run += 1
      guard run >= policy.run else { return nil }
      (run, self.fault, lasted) = (0, fault, 0)
      return .degraded(fault)
    case .good:
      run = 0
      learn(sample.roundTrip)
    case .silent:
      // Nothing is known yet that it could be measured by.
      if normal == nil { learn(sample.roundTrip) }
    }
    return nil
  }

  private mutating func whileDegraded(_ judgement: Judgement) -> Verdict? {
    lasted += 1
    switch judgement {
    case .good: run += 1
    case .bad: run = 0
    case .silent: break
    }
    let isNormalNow = lasted >= policy.normalAfter
    guard run >= policy.run || isNormalNow else { return nil }
    if isNormalNow { (normals, normal, position, goods) = ([], nil, 0, 0) }
    _ = end()
    return .recovered
  }

  private mutating func learn(_ roundTrip: Duration?) {
    guard let roundTrip else { return }
    goods += 1
    guard normals.count < policy.normalsMin || goods.isMultiple(of: policy.thinning) else { return }
    let value = UInt32(clamping: Int64(roundTrip / .microseconds(1)))
    if normals.count < policy.normalsMax {
      normals.append(value)
    } else {
      normals[position] = value
      position = (position + 1) % policy.normalsMax
    }
    guard normals.count >= policy.normalsMin else { return }
    normal = .microseconds(Int64(normals.sorted()[normals.count / 2]))
  }
}

/// Why a path is called degraded.
public enum PathFault: Sendable, Equatable {
  case roundTrip(Duration, normal: Duration)
  case retransmissions(sentAgain: Int, of: Int, max: Int)

  /// For people and for the evidence.
  public var words: String {
    switch self {
    case .roundTrip(let now, let normal):
      "round trip \(now.milliseconds) ms, normally \(normal.milliseconds) ms"
    case .retransmissions(let again, let sent, let most):
      "\(again) of \(sent) segments were sent again within \(Int(PathPolicy.every.seconds)) s, "
        + "\(most) at most were to be expected"
    }
  }
}

/// The numbers of `PathWatch`.
public struct PathPolicy: Sendable, Equatable {
  public static let every = Duration.seconds(5)
  /// More than this much between two looks, over all connections of the Host, and the path is loaded: half of what
  /// 1 Mbit/s carries.
  public static let loadedBytesMin = 320 * 1_024

  /// How much longer a round trip has to take: this many times the normal one, and at least so much more.
  public var factor = 4
  public var riseMin = Duration.milliseconds(50)
  /// Samples in a row: the first and the last are 30 s apart.
  public var run = 7
  /// Samples after which what is degraded is the normal: an hour.
  public var normalAfter = 720
  /// Round trips that are needed to tell what is normal, that are kept, and of how many one is kept: an hour of them.
  public var normalsMin = 12
  public var normalsMax = 60
  public var thinning = 12
  /// A loss of one segment in a hundred is not called degraded.
  public var lossTolerated = 0.01
  public var lossMax = 0.02

  public init() {}

  /// How many of so many segments may have been sent again. Few segments prove little: at a loss of one in a hundred,
  /// five standard deviations and four segments more come about once in millions of samples, and it takes seven in a
  /// row.
  func againMax(of sent: Int) -> Int {
    let expected = Double(sent) * lossTolerated
    let spread = (expected * (1 - lossTolerated)).squareRoot()
    return Int(max(Double(sent) * lossMax, expected + 5 * spread + 4))
  }
}
