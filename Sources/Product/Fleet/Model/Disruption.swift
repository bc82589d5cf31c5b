import Basics
import Link

/// What many Instances that are lost together have in common.
enum DisruptionScope: Hashable, Sendable {
  case host(HostID)
  /// A release of OpenClaw.
  case release(String)

  /// As events name it.
  var text: String {
    switch self {
    case .host(let host): "host/\(host)"
    case .release(let release): "release/\(release)"
    }
  }
}

/// Who is lost and who could be: what blame is laid by.
struct Census: Sendable, Equatable {
  struct Member: Sendable, Equatable {
    let host: HostID
    let release: String?

    var scopes: [DisruptionScope] { [.host(host)] + (release.map { [.release($0)] } ?? []) }
  }

  /// How many Instances are meant to run, in all and in each scope.
  private(set) var all = 0
  private(set) var sizes: [DisruptionScope: Int] = [:]

  init(_ members: some Sequence<Member>) {
    for member in members {
      all += 1
      for scope in member.scopes { sizes[scope, default: 0] += 1 }
    }
  }
}

/// Whom to blame for many losses at once: a pure decision.
enum Disruption {
  /// Sources: Kubernetes' zones, which count as disrupted from 55 % and more than two nodes.
  static let share = 0.55
  static let lostMin = 2
  /// More scopes than this that are lost together are no coincidence: then it is the whole fleet.
  static let scopesMax = 2

  enum Blame: Sendable, Equatable {
    case nobody
    /// These scopes, each with how many are lost in it.
    case scopes([DisruptionScope: Int])
    /// Nothing smaller than the fleet explains it: the watch doubts itself.
    case fleet(lost: Int, hosts: Int)
  }

  /// - Parameter lost: those that were lost within one wave, or are lost since one.
  static func blame(_ lost: [Census.Member], _ census: Census) -> Blame {
    var counts: [DisruptionScope: Int] = [:]
    for member in lost { for scope in member.scopes { counts[scope, default: 0] += 1 } }
    let isWave = SelfDoubt.isWave(lost.count, of: census.all)
    // A release that everybody runs distinguishes nothing.
    func isScope(_ scope: DisruptionScope) -> Bool {
      if case .release = scope { census.sizes[scope, default: 0] < census.all } else { true }
    }
    // The smallest scope that explains most of it, Hosts before releases.
    let explaining = counts.filter { scope, count in
      isScope(scope) && count > lostMin && Double(count) >= SelfDoubt.explainedShare * Double(lost.count)
        && (Double(count) >= share * Double(census.sizes[scope, default: 0])
          || SelfDoubt.isWave(count, of: census.sizes[scope, default: 0]))
    }
    if let smallest = explaining.min(by: { rank($0.key, census) < rank($1.key, census) }) {
      return .scopes([smallest.key: smallest.value])
    }
    let hosts = counts.filter { scope, count in
      guard case .host = scope else { return false }
      return count > lostMin && Double(count) >= share * Double(census.sizes[scope, default: 0])
    }
    let spread = counts.keys.count { if case .host = $0 { true } else { false } }
    if isWave, hosts.count > scopesMax || hosts.isEmpty || spread > 2 * hosts.count {
      return .fleet(lost: lost.count, hosts: spread)
    }
    return hosts.isEmpty ? .nobody : .scopes(hosts)
  }

  private static func rank(_ scope: DisruptionScope, _ census: Census) -> (Int, Int, String) {
    (census.sizes[scope, default: 0], { if case .host = scope { 0 } else { 1 } }(), scope.text)
  }
}

/// The disruptions that are open, as a value.
///
/// | a scope is | then | its Instances are |
/// |---|---|---|
/// | blamed | suspected | held: a change of theirs is recorded and not told |
/// | suspected for `confirmAfter` | told, once | held |
/// | no longer blamed while suspected | forgotten | free |
/// | mostly back | settling, for one interval | held, and judged anew |
/// | settled | over, told once | free |
struct DisruptionLedger: Sendable {
  static let confirmAfter = Duration.seconds(10)

  private struct Open: Sendable {
    let since: Timestamp
    var isTold = false
    var settlesAt: Timestamp?
  }

  enum News: Sendable, Equatable {
    case began(DisruptionScope, lost: Int, of: Int)
    /// Its Instances are judged anew from now on.
    case settling(DisruptionScope)
    case ended(DisruptionScope)
  }

  let interval: Duration
  private var open: [DisruptionScope: Open] = [:]

  init(interval: Duration) { self.interval = interval }

  func holds(_ member: Census.Member) -> Bool { !open.isEmpty && member.scopes.contains { open[$0] != nil } }

  /// One look.
  ///
  /// - Parameters:
  ///   - blamed: the scopes that the newest wave is blamed on.
  ///   - lost: all that are lost now, by scope.
  mutating func look(
    blamed: [DisruptionScope: Int], lost: [DisruptionScope: Int], _ census: Census, now: Timestamp
  ) -> [News] {
    var news: [News] = []
    for scope in blamed.keys where open[scope] == nil { open[scope] = Open(since: now) }
    for (scope, entry) in open {
      var entry = entry
      let (count, size) = (lost[scope, default: 0], census.sizes[scope, default: 0])
      let isLost = count > Disruption.lostMin && (Double(count) >= Disruption.share * Double(size)
        || SelfDoubt.isWave(count, of: size))
      switch (entry.isTold, isLost, entry.settlesAt) {
      case (false, false, _): open[scope] = nil
      case (false, true, _) where now.since(entry.since) >= Self.confirmAfter:
        entry.isTold = true
        open[scope] = entry
        news.append(.began(scope, lost: count, of: size))
      case (true, true, .some):
        entry.settlesAt = nil
        open[scope] = entry
      case (true, false, nil):
        entry.settlesAt = now.advanced(by: interval)
        open[scope] = entry
        news.append(.settling(scope))
      case (true, false, let settlesAt?) where settlesAt <= now:
        open[scope] = nil
        news.append(.ended(scope))
      default: break
      }
    }
    return news
  }
}
