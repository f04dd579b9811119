package ledger

// SelectStates is the statement that every write begins with.
const SelectStates = selectStates
