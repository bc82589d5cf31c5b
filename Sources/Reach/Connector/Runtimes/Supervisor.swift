import Basics

/// When an Instance is started, stopped and started again, as a value: no clock, no process, no disk.
///
/// | state | start asked | stop asked | started | launch failed | exited | back-off over | grace over |
/// | --- | --- | --- | --- | --- | --- | --- | --- |
/// | stopped | starting, launch | - | - | - | - | - | - |
/// | starting | - | cancelling | running | stopped, or waiting | - | - | - |
/// | cancelling | starting | - | stopping, terminate | stopped | - | - | - |
/// | running | - | stopping, terminate | - | - | waiting; held on 78 | - | - |
/// | stopping | (wanted again) | - | - | - | stopped; starting if wanted | - | kill |
/// | waiting | starting, launch | stopped | - | - | - | starting, launch | - |
/// | held | starting, launch | stopped | - | - | - | - | - |
struct Supervisor: Sendable, Equatable {
  enum State: Sendable, Equatable {
    case stopped
    /// `requested`: somebody waits for the answer, so a failure is theirs. Otherwise it is tried again.
    case starting(requested: Bool)
    /// Stop was asked while the start was under way.
    case cancelling
    case running
    /// SIGTERM is sent.
    case stopping
    /// Crashed, and waits to be started again.
    case waiting
    /// Ended with OpenClaw's own refusal; only a person starts it again.
    case held
  }

  enum Event: Sendable, Equatable {
    case startRequested
    case stopRequested
    case started
    case launchFailed
    /// Found running though nobody here started it.
    case adopted
    case exited(code: Int32?, ranFor: Duration)
    case backoffElapsed
    case graceElapsed
  }

  enum Action: Sendable, Equatable {
    case none
    case launch
    /// Send SIGTERM, and `graceElapsed` when the grace is over.
    case terminate
    case kill
    /// Send `backoffElapsed` after this time.
    case retry(after: Duration)
  }

  private(set) var state: State = .stopped
  /// Whether the Instance is meant to run. Stop wins: whatever happens afterwards, it does not start on its own.
  private(set) var wanted = false
  /// Crashes in a row, none of them after a healthy run.
  private(set) var failures = 0

  /// Nothing runs and nothing is under way.
  var isIdle: Bool { state == .stopped || state == .held || state == .waiting }

  mutating func handle(_ event: Event, policy: RuntimePolicy) -> Action {
    switch event {
    case .startRequested: startRequested()
    case .stopRequested: stopRequested()
    case .started: started()
    case .launchFailed: launchFailed(policy)
    case .adopted: adopted()
    case .exited(let code, let ranFor): exited(code, ranFor, policy)
    case .backoffElapsed: backoffElapsed()
    case .graceElapsed: state == .stopping ? .kill : .none
    }
  }

  /// The machine of a Connector that has just begun, from what its record says and what it found.
  static func resuming(
    wanted: Bool, running: Bool, lastCode: Int32?
  ) -> (supervisor: Supervisor, action: Action) {
    var supervisor = Supervisor()
    supervisor.wanted = wanted
    switch (wanted, running) {
    case (true, true): supervisor.state = .running
    case (false, true):
      supervisor.state = .stopping
      return (supervisor, .terminate)
    case (true, false) where lastCode == InstanceExit.refusalCode: supervisor.state = .held
    case (true, false):
      supervisor.state = .starting(requested: false)
      return (supervisor, .launch)
    case (false, false): break
    }
    return (supervisor, .none)
  }

  private mutating func startRequested() -> Action {
    wanted = true
    switch state {
    case .stopped, .waiting, .held:
      failures = 0
      state = .starting(requested: true)
      return .launch
    case .cancelling:
      state = .starting(requested: true)
      return .none
    case .starting, .running, .stopping:
      return .none
    }
  }

  private mutating func stopRequested() -> Action {
    wanted = false
    failures = 0
    switch state {
    case .stopped, .stopping, .cancelling:
      return .none
    case .waiting, .held:
      state = .stopped
      return .none
    case .starting:
      state = .cancelling
      return .none
    case .running:
      state = .stopping
      return .terminate
    }
  }

  private mutating func started() -> Action {
    switch state {
    case .starting:
      state = .running
      return .none
    case .cancelling:
      state = .stopping
      return .terminate
    case .stopped, .running, .stopping, .waiting, .held:
      return .none
    }
  }

  private mutating func launchFailed(_ policy: RuntimePolicy) -> Action {
    switch state {
    case .starting(requested: true):
      wanted = false
      state = .stopped
      return .none
    case .starting(requested: false):
      return retry(policy)
    case .cancelling:
      state = .stopped
      return .none
    case .stopped, .running, .stopping, .waiting, .held:
      return .none
    }
  }

  private mutating func adopted() -> Action {
    if isIdle { state = .running }
    return .none
  }

  private mutating func exited(_ code: Int32?, _ ranFor: Duration, _ policy: RuntimePolicy) -> Action {
    switch state {
    case .running where !wanted:
      state = .stopped
      return .none
    case .running where code == InstanceExit.refusalCode:
      state = .held
      return .none
    case .running:
      if ranFor >= policy.healthyAfter { failures = 0 }
      return retry(policy)
    case .stopping where wanted:
      state = .starting(requested: false)
      return .launch
    case .stopping:
      state = .stopped
      return .none
    case .stopped, .starting, .cancelling, .waiting, .held:
      return .none
    }
  }

  private mutating func backoffElapsed() -> Action {
    guard state == .waiting else { return .none }
    state = .starting(requested: false)
    return .launch
  }

  private mutating func retry(_ policy: RuntimePolicy) -> Action {
    let delay = policy.backoffFirst.doubled(failures, most: policy.backoffMax)
    failures += 1
    state = .waiting
    return .retry(after: delay)
  }
}
