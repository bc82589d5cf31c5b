import Basics

/// The texts of the store's failures: one place, so that both engines say the same.
enum StoreErrors {
  static func locked(_ cause: any Error) -> AWError {
    AWError(
      .storeLocked, "The database is held by another process, and it did not let go in time.",
      next: "Stop the other AW process (or the backup or shell that has the database open), then try again.",
      cause: cause)
  }

  static func full(_ cause: any Error) -> AWError {
    AWError(
      .storeFull, "The disk of the database is full, so the change was not saved.",
      next: "Free space on that disk, then try again. Nothing that was confirmed before is lost.", cause: cause)
  }

  static func conflict(_ cause: any Error) -> AWError {
    AWError(
      .conflict, "Something with the same name or key exists already.",
      next: "Use another name, or use what exists.", cause: cause)
  }

  static func closed() -> AWError {
    AWError(.storeFailed, "The database is closed: AW is shutting down.", next: "Start AW again.")
  }

  static func unreachable(_ why: String, _ cause: (any Error)?) -> AWError {
    AWError(
      .storeFailed, "PostgreSQL is unreachable: \(why).",
      next: "Check that the server runs and that its address, user and password in AW's configuration are right. "
        + "AW connects again by itself.", cause: cause)
  }

  static func lostWhileCommitting(_ cause: any Error) -> AWError {
    AWError(
      .storeFailed, "The connection to PostgreSQL was lost during a commit, so it is not known whether it was saved.",
      next: "Look whether the change is there before you repeat it.", cause: cause)
  }

  static func slow(_ cause: any Error) -> AWError {
    AWError(
      .storeFailed, "PostgreSQL ended a statement because it took too long.",
      next: "Try again. If it happens often, look at the load of the server.", cause: cause)
  }

  static func failed(_ cause: any Error) -> AWError {
    AWError(
      .storeFailed, "The database could not carry out a statement.",
      next: "Look in the log of the control plane for the details.", cause: cause)
  }

  static func unknownType(_ column: String, _ type: String) -> AWError {
    AWError(
      .storeFailed, "The database column '\(column)' has the type \(type), which AW does not read.",
      next: "This is a defect in AW: report it with the log of the control plane.")
  }
}
