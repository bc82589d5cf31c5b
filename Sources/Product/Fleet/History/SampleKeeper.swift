import Basics
import Link
import Logging
import ServiceLifecycle
import Store
import Synchronization

/// What bounds the samples of checks.
public enum SampleLimits {
  /// How long samples are kept.
  static let keep = Duration.seconds(7 * 86_400)
  /// How long each check is kept by itself; older ones are thinned to one sample of `thinTo`.
  static let keepSingle = Duration.seconds(86_400)
  static let thinTo = Duration.seconds(300)
  /// Samples in the database, about 150 bytes each. Above it the oldest go earlier.
  static let samplesMax = 5_000_000
  /// Samples of the whole fleet written in a second: with more Instances each is sampled less often. A check that
  /// fails where the one before did not is always one.
  static let perSecondMax = 50
  /// Between two samples of one Instance that say the same.
  static let apartMin = Duration.seconds(10)
  /// Samples that wait to be written; when the database does not take them, the oldest are lost.
  static let waitingMax = 20_000
}

/// Keeps how long checks took: takes them in from the watch, writes them in batches, and thins and prunes what is old.
public final class SampleKeeper: Service {
  static let writeEvery = Duration.seconds(5)
  static let tidyEvery = Duration.seconds(300)
  /// Samples of one transaction, and Instances thinned in one.
  static let batch = 500

  private struct Kept: Sendable {
    let at: Timestamp
    let failures: Set<ChainLink>
  }

  private struct State {
    var waiting: [(id: InstanceID, sample: CheckSample)] = []
    var kept: [InstanceID: Kept] = [:]
    var lost = 0
  }

  private let store: Store
  private let clock: WallClock
  private let logger: Logger
  private let state = Mutex(State())

  public init(store: Store, clock: WallClock, logger: Logger) {
    self.store = store
    self.clock = clock
    self.logger = logger
  }

  /// The least time between two samples of one Instance.
  var apart: Duration { state.withLock { Self.apart($0.kept.count) } }

  static func apart(_ instances: Int) -> Duration {
    max(SampleLimits.apartMin, .seconds(Double(instances) / Double(SampleLimits.perSecondMax)))
  }

  /// Takes in a check. Cheap: nothing is written yet.
  func note(_ report: ChainReport, of id: InstanceID) {
    guard let sample = CheckSample(report) else { return }
    state.withLock { state in
      if let kept = state.kept[id], kept.failures == sample.failures,
        sample.at.since(kept.at) < Self.apart(state.kept.count)
      {
        return
      }
      state.kept[id] = Kept(at: sample.at, failures: sample.failures)
      state.waiting.append((id, sample))
      if state.waiting.count > SampleLimits.waitingMax {
        state.waiting.removeFirst(Self.batch)
        state.lost += Self.batch
      }
    }
  }

  public func run() async throws {
    await cancelWhenGracefulShutdown {
      var tidiedAt: Timestamp?
      repeat {
        do {
          try await self.write()
          if tidiedAt.map({ self.clock.now.since($0) >= Self.tidyEvery }) ?? true {
            tidiedAt = self.clock.now
            try await self.tidy()
          }
        } catch {
          self.logger.warning("samples of checks could not be kept", metadata: ["error": "\(error)"])
        }
      } while (try? await Task.sleep(for: Self.writeEvery)) != nil
    }
    do {
      try await write()
    } catch {
      logger.warning("the last samples of checks could not be kept", metadata: ["error": "\(error)"])
    }
  }

  /// Writes what waits. What cannot be written waits on.
  func write() async throws {
    while true {
      let (batch, lost) = state.withLock { state in
        defer { state.lost = 0 }
        return (Array(state.waiting.prefix(Self.batch)), state.lost)
      }
      if lost > 0 { logger.warning("samples of checks were lost", metadata: ["count": "\(lost)"]) }
      guard !batch.isEmpty else { return }
      try await store.write { tx in
        for (id, sample) in batch { try SampleRecords.insert(sample, of: id, in: tx) }
      }
      state.withLock { state in
        // Some may have been dropped meanwhile, which were the oldest too.
        let written = batch.count - min(batch.count, state.lost)
        state.waiting.removeFirst(min(written, state.waiting.count))
      }
    }
  }

  /// A reconciler: thins what is a day old, removes what is too old or too many. May run twice, and anywhere.
  func tidy() async throws {
    let now = clock.now
    let span = SampleLimits.thinTo.milliseconds
    let day = now.advanced(by: .zero - SampleLimits.keepSingle).millisecondsSince1970
    // Whole spans only, so that none is thinned in two parts.
    let before = Timestamp(millisecondsSince1970: day / span * span)
    while case let ids = try await store.read({
      try SampleRecords.unthinned(before: before, limit: Self.batch, in: $0)
    }), !ids.isEmpty {
      try await store.write { tx in
        for id in ids {
          let single = try SampleRecords.takeSingle(of: id, before: before, in: tx)
          for sample in CheckSample.bySpan(single, SampleLimits.thinTo) {
            try SampleRecords.insert(sample, of: id, in: tx)
          }
        }
      }
    }
    try await store.write { tx in
      try SampleRecords.delete(before: now.advanced(by: .zero - SampleLimits.keep), in: tx)
      try SampleRecords.cap(SampleLimits.samplesMax, in: tx)
    }
    let old = now.advanced(by: .zero - SampleLimits.keepSingle)
    state.withLock { state in state.kept = state.kept.filter { $0.value.at > old } }
  }
}
